"""One trial: the stages of its recipe on the shared dataset, told epoch by epoch, resumed from its own folder."""

from __future__ import annotations

import fcntl
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from glyphyard.core.errors import GlyphyardError, StepFailed
from glyphyard.core.records import CheckpointRecord
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.step import perform
from glyphyard.pipeline.store import recipe_of
from glyphyard.training.job import StageJob
from glyphyard.training.telling import Tell, Telling, rows_of
from glyphyard.training.watch import EpochRow

Launch = Callable[[StageJob, Tell], CheckpointRecord]
PATIENCE_S = 120.0  # for a worker of a killed driver to let go of the trial


class Stopped(BaseException):
    """Raised by a teller that wants the trial to end here; no error, hence no Exception."""


def train_trial(folder: Path, tell: Tell, launch: Launch) -> dict[str, Any]:
    """Train every stage of a trial's recipe and return its outcome; what breaks it is an outcome too.

    `tell` gets each epoch's row, "epoch" counted over all stages, with "from" and "to" (Unix seconds) unless it was trained
    in an earlier session ("replayed").
    """
    started = time.time()
    try:
        with _alone(folder):
            record = _train_stages(folder, tell, launch)
    except GlyphyardError as error:
        return _failed(str(error), started)
    except Exception as error:  # the sweep goes on whatever a trial does; the reason is kept
        memory = "out of memory: " if "OutOfMemory" in type(error).__name__ or isinstance(error, MemoryError) else ""
        return _failed(f"{memory}{type(error).__name__}: {' '.join(str(error).split())[:400]}", started)
    finally:
        _free_memory()  # the next trial runs in this process
    return {
        "state": "complete",
        "metrics": record.metrics,
        "epoch": record.epoch,
        "stopped": record.stopped,
        "seconds": record.seconds,
    }


def _failed(reason: str, started: float) -> dict[str, Any]:
    return {"state": "failed", "reason": reason, "seconds": round(time.time() - started, 3)}


def _train_stages(folder: Path, tell: Tell, launch: Launch) -> CheckpointRecord:
    from glyphyard.pipeline.steps import train_step

    recipe = recipe_of(folder)
    before = 0  # epochs of earlier stages

    def launched(job: StageJob) -> CheckpointRecord:
        begun, trained_s = time.time(), 0.0

        def told(row: EpochRow) -> None:
            nonlocal trained_s
            now, spent_s, trained_s = time.time(), row["seconds"] - trained_s, row["seconds"]
            when = {} if row.get("replayed") else {"from": max(begun, now - spent_s), "to": now}
            tell(row | {"epoch": before + row["epoch"]} | when)

        return launch(job, told)

    run = Run(recipe, folder, folder.parent, Console(quiet=True), launch=launched)
    for index in range(len(recipe.stages)):
        perform(train_step(run, index), folder, lambda line: None)
        before += len(rows_of(run.stage_dir(index) / "metrics.jsonl"))
    return run.checkpoint(len(recipe.stages) - 1)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the trial's folder; a worker that outlives its killed driver by moments is waited for."""
    until = time.monotonic() + PATIENCE_S
    with (folder / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise StepFailed(str(folder), "another process is still training this trial") from error
                time.sleep(0.2)
        yield


def train_plain(job: StageJob, tell: Tell) -> CheckpointRecord:
    """Train a stage in this process, without Ray."""
    from glyphyard.training.loop import train_stage
    from glyphyard.training.ranks import SingleRank

    return train_stage(job, SingleRank("cuda" if job.recipe.runtime.gpus_per_worker else "cpu"), Telling(job.stage_dir, tell))


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
