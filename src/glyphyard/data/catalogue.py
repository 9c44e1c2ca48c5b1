"""How a task's data is prepared: one entry a task, chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glyphyard.data.prepare import dataset_fingerprint, prepare


@dataclass(frozen=True)
class Preparer:
    """`prepare`(dataset, time_steps, store, need=, in_process=, say=, progress=) → the folder; `identify`(dataset, time_steps, store) → its name.

    The folder holds manifest.json (a DatasetManifest) and audit.json, whatever else the task's networks read.
    """

    prepare: Callable[..., Path]
    identify: Callable[..., str]


CROPS = Preparer(prepare, dataset_fingerprint)
PREPARERS: dict[str, Preparer] = {"recognition": CROPS, "super_resolution": CROPS}


def preparer_of(task: str) -> Preparer:
    """Return how the data of a recipe's task is prepared."""
    return PREPARERS[task]
