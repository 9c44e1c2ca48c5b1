"""`run --start MODE --from RUN`: where a new run's first stage starts from, as overrides of its recipe."""

from __future__ import annotations

import json
from pathlib import Path

from glyphyard.core.errors import BadInput
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
