"""Where a stage is trained: by Ray's workers or in this process."""

from __future__ import annotations

from collections.abc import Callable

from glyphyard.core.records import CheckpointRecord
from glyphyard.recipe.recipe import Recipe
from glyphyard.training.job import StageJob


def launcher(recipe: Recipe) -> Callable[[StageJob], CheckpointRecord]:
    """Return what trains a stage as `runtime.launcher` says; nothing heavy is imported before it is called."""
    if recipe.runtime.launcher == "ray":
        from glyphyard.cluster.train import train_on_ray

        return train_on_ray
    return _train_here


def _train_here(job: StageJob) -> CheckpointRecord:
    from glyphyard.training.catalogue import trainer_of
    from glyphyard.training.ranks import SingleRank

    wants_gpu = job.recipe.runtime.gpus_per_worker > 0
    return trainer_of(job.recipe.task)(job, SingleRank("cuda" if wants_gpu else "cpu"))
