"""Which loop trains a task: ours, but where a library brings its own; chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable

from glyphyard.core.records import CheckpointRecord
from glyphyard.training.detector import train_detector
from glyphyard.training.loop import train_stage

# (job, ranks, watch) → the record of the best weights; every rank calls it with its own `ranks`
Trainer = Callable[..., CheckpointRecord]
TRAINERS: dict[str, Trainer] = {"detection": train_detector}


def trainer_of(task: str) -> Trainer:
    """Return what trains the stages of a recipe's task."""
    return TRAINERS.get(task, train_stage)
