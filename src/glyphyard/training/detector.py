"""Training a detector: ultralytics' loop inside ours, from a stage's job to the record of its best weights."""

from __future__ import annotations

from typing import Any

import torch

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import make_folder
from glyphyard.core.records import CheckpointRecord, DatasetManifest
from glyphyard.data.page_rows import read_rows
from glyphyard.nn.yolo import open_ultralytics
from glyphyard.training.checkpoint import DELETE_LAST, State, check_fingerprints, load_state
from glyphyard.training.detector_metrics import BETTER
from glyphyard.training.job import StageJob
from glyphyard.training.position import Position
from glyphyard.training.ranks import Ranks
from glyphyard.training.selection import check_names
from glyphyard.training.start import state_to_go_on
from glyphyard.training.watch import FolderWatch, Watch, Watches


def train_detector(job: StageJob, ranks: Ranks, watch: Watch | None = None) -> CheckpointRecord:
    """Train one stage of a detector to its end, from `last.pt` if there is one; every rank calls this with its own `ranks`.

    A state is kept at each epoch's end; a run that was killed within an epoch does that epoch again. BadInput: a stage that
    cannot start, ultralytics that is not installed; StepFailed: a stage that broke.
    """
    make_folder(job.stage_dir)
    check_names(job.stage, BETTER)
    if job.stage.batch_size % ranks.world:
        problem = f"a batch of {job.stage.batch_size} cannot be shared by {ranks.world} workers"
        raise BadInput(f"stage `{job.stage.name}`", problem, "choose a batch_size that they divide")
    open_ultralytics(ranks.rank, ranks.world)
    from glyphyard.training.detector_stage import DetectorStage  # brings ultralytics

    watches: list[Watch] = [FolderWatch(job.stage_dir, job.title)] if ranks.rank == 0 else []
    watched = Watches([*watches, watch or Watch()])
    manifest = DatasetManifest.read(job.dataset / "manifest.json")
    pages = {split: read_rows(job.dataset, manifest, split) for split in ("train", "validation")}
    fingerprints = {
        "recipe": job.recipe.fingerprint,
        "dataset": manifest.fingerprint,
        "stage": job.stage.name,
        "workers": ranks.world,
    }
    state = _state(job, ranks, fingerprints, len(pages["train"]))
    position = Position.of(state["position"]) if state else Position()
    if job.last.is_file():
        position.check_best(job)
    stage = DetectorStage(job, ranks, watched, manifest.classes, pages, fingerprints, state, position)
    if not position.stopped:
        watched.started(position.epoch + 1)
        try:
            stage.train()
        except torch.OutOfMemoryError as error:
            remedy = "use a smaller batch_size with a larger model.accumulate, or a smaller model.imgsz"
            raise StepFailed(f"stage `{job.stage.name}`", "out of memory: the GPU's is too small", remedy) from error
    return _record(job, ranks, watched, position, fingerprints)


def steps_per_epoch(job: StageJob, rows: int) -> int:
    """Return the batches of an epoch: the last one may be smaller."""
    sampling = job.stage.sampling
    count = sampling.samples_per_epoch or rows if sampling.mode == "weighted" else rows
    return -(-count // job.stage.batch_size)


def _state(job: StageJob, ranks: Ranks, fingerprints: dict[str, Any], rows: int) -> State | None:
    """Return the state to go on from: this stage's own, or that of the run that the recipe names; None to begin."""
    if ranks.gather(job.last.exists())[0]:  # rank 0 says it for all
        state = load_state(job.last, DELETE_LAST)
        check_fingerprints(state["fingerprints"], fingerprints, str(job.last))
        return state
    if job.stage.start == "resume" and job.parent is not None:
        steps = steps_per_epoch(job, rows)
        return state_to_go_on(job, fingerprints, steps, steps * (job.stage.epochs or 1), ranks.rank == 0)
    return None


def _record(job: StageJob, ranks: Ranks, watch: Watch, position: Position, fingerprints: dict[str, Any]) -> CheckpointRecord:
    if not position.standing.best_epoch:
        problem = f"no validation gave a {job.stage.select}"
        raise StepFailed(f"stage `{job.stage.name}`", problem, "check that the validation split has pages with boxes")
    ranks.barrier()  # rank 0 wrote the file
    record: CheckpointRecord = ranks.gather(position.record(job, fingerprints))[0]  # each rank has its own clock
    watch.ended(record)
    return record
