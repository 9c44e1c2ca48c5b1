"""Where training starts from: `run --start MODE --from RUN` as overrides of a recipe, and the weights that a model names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.pipeline.store import open_run
from glyphyard.training.job import BEST, LAST


def start_overrides(mode: str | None, origin: str | None, store: Path) -> tuple[str, ...]:
    """Return the overrides that say `mode` (scratch, finetune, resume) and `origin` (a run, or a checkpoint's file).

    Of a run, finetune takes the last stage's best weights, resume the first stage's last state. `finetune` alone is what
    an origin without a mode means.
    """
    if mode == "scratch" or origin is None:
        if origin is not None:
            raise BadInput("--start scratch", f"takes nothing from {origin}", "leave --from out, or say --start finetune")
        if mode in ("finetune", "resume"):
            raise BadInput(f"--start {mode}", "needs to know where from", "say --from RUN or --from CHECKPOINT.pt")
        return ("stages.0.start=scratch", "stages.0.init=scratch") if mode else ()
    mode = mode or "finetune"
    path = Path(origin).absolute() if origin.endswith(".pt") else _of_run(open_run(origin, store), mode)
    if not path.is_file():
        raise BadInput(
            str(path), "there is no such checkpoint", "give a run that has trained, or the path of a best.pt or last.pt"
        )
    return f"stages.0.start={mode}", f"stages.0.init={json.dumps(str(path), ensure_ascii=False)}"


def _of_run(run: Path, mode: str) -> Path:
    stages = sorted((run / "stages").glob("*-*"), key=lambda folder: int(folder.name.partition("-")[0]))
    if not stages:
        return run / "stages"
    return stages[0] / LAST if mode == "resume" else stages[-1] / BEST


def released_weights(part: dict[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Yield which parts of a model start from a file of weights, and the file's hash: another file is another training."""
    for key, value in part.items():
        if isinstance(value, dict):
            yield from released_weights(value, f"{name}.{key}")
        elif key == "pretrained" and isinstance(value, str) and value.startswith("/") and Path(value).is_file():
            yield name, sha256_file(Path(value))
