"""How a task's data is prepared: one entry a task, chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glyphyard.data.page_set import PageSet, gather_pages
from glyphyard.data.plate_set import gather_plates
from glyphyard.data.prepare import dataset_fingerprint, prepare
from glyphyard.data.prepare_outlines import identify_outlines, prepare_outlines
from glyphyard.data.prepare_pages import identify_pages, prepare_pages
from glyphyard.recipe.dataset import DatasetConfig


@dataclass(frozen=True)
class Preparer:
    """`prepare`(dataset, capacity, store, need=, in_process=, say=, progress=) → the folder; `identify`(dataset, capacity, store) → its name.

    The folder holds manifest.json (a DatasetManifest) and audit.json, whatever else the task's networks read.
    """

    prepare: Callable[..., Path]
    identify: Callable[..., str]
    gather: Callable[[DatasetConfig], PageSet] = gather_pages  # where the data are pages: what `plan` counts


CROPS = Preparer(prepare, dataset_fingerprint)
PAGES = Preparer(prepare_pages, identify_pages)
OUTLINES = Preparer(prepare_outlines, identify_outlines, lambda dataset: gather_plates(dataset).as_pages())
PREPARERS: dict[str, Preparer] = {"recognition": CROPS, "super_resolution": CROPS, "detection": PAGES, "segmentation": OUTLINES}


def preparer_of(task: str) -> Preparer:
    """Return how the data of a recipe's task is prepared."""
    return PREPARERS[task]
