"""Where training starts from: `run --start MODE --from RUN` as overrides of a recipe, a stage's parent, and the weights that a model names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import make_folder, read_json, sha256_file, write_json
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.store import open_run
from glyphyard.training.job import BEST, CHECKPOINT, LAST, StageJob

BEGUN = "began_from.json"


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
            str(path), "[GY064] there is no such checkpoint", "give a run that has trained, or the path of a best.pt or last.pt"
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


def names_weights(part: dict[str, Any]) -> bool:
    """Say whether a model starts from released weights, by name or by file."""
    return any(names_weights(v) if isinstance(v, dict) else k == "pretrained" and v is not None for k, v in part.items())


def parent_of(run: Run, index: int) -> Path | None:
    """Return the checkpoint that a stage starts from; None where it starts from scratch."""
    stage = run.recipe.stages[index]
    if "scratch" in (stage.init, stage.start) or (stage.init == "previous" and index == 0):
        return None
    return Path(stage.init) if stage.init.endswith(".pt") else run.stage_dir(index - 1) / BEST


def check_parent(run: Run, index: int) -> None:
    """Raise `BadInput` [GY064] where a stage's parent is not there, or was cut off."""
    before, stage = parent_of(run, index), run.recipe.stages[index]
    own = stage.init == "previous"
    if before is None or (before.is_file() and (not own or before.with_name(CHECKPOINT).is_file())):
        return
    what = "that stage was cut off" if before.is_file() else f"there is no file {before}"
    came = f"stage {run.recipe.stages[index - 1].name}" if own else stage.init
    remedy = f"train that stage to its end, or begin a new run of the recipe with --set stages.{stage.name}.init=FILE.pt"
    raise BadInput(f"stage `{stage.name}`", f"[GY064] it starts from {came}, and {what}", remedy)


def check_files(run: Run, indices: Iterable[int]) -> None:
    """Load the weights that stages start from and no stage of this run makes: what training would refuse is a `BadInput` now."""
    released = names_weights(run.recipe.to_json()["model"])
    for index in indices:
        before = parent_of(run, index)
        made_here = before is not None and run.recipe.stages[index].init == "previous"
        if made_here or (before is None and not released):
            continue
        from glyphyard.tasks.catalogue import TASKS, task_of
        from glyphyard.training.checkpoint import load_state
        from glyphyard.training.start import begun_parts

        check_parent(run, index)
        if run.recipe.task in TASKS:
            stage_dir = run.stage_dir(index)
            folder = stage_dir / "anew" if _began_otherwise(stage_dir, weights_of(run, index)) else stage_dir
            begun_parts(StageJob(run.recipe, index, run.folder, folder, before), task_of(run.recipe))
        elif before is not None:  # a detector, which another trainer builds
            load_state(before)


def _began_otherwise(stage_dir: Path, weights: dict[str, str]) -> bool:
    """Say whether a stage has begun, and with other weights than these."""
    begun = stage_dir / BEGUN
    return begun.is_file() and read_json(begun) != weights


def begin(run: Run, index: int) -> None:
    """Note what weights a stage starts from; what it had learnt from others is stale, and is put aside."""
    stage_dir, weights = run.stage_dir(index), weights_of(run, index)
    if _began_otherwise(stage_dir, weights):
        aside = run.folder / "stale" / stage_dir.name
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(aside.parent)
        stage_dir.rename(aside)
        run.say(f"train: what stage {stage_dir.name} starts from has changed; it is trained anew, the old one lies in {aside}")
    make_folder(stage_dir)
    write_json(stage_dir / BEGUN, weights)


def weights_of(run: Run, index: int) -> dict[str, str]:
    """Return the hashes of what a stage starts from: its parent, and the files of weights that the model names."""
    before, own = parent_of(run, index), run.recipe.stages[index].init == "previous"
    parent = "" if before is None else run.checkpoint(index - 1).sha256 if own else sha256_file(before)
    pretrained = released_weights(run.recipe.to_json()["model"], "model")
    return {"parent": parent} | {f"pretrained {name}": sha256 for name, sha256 in pretrained}
