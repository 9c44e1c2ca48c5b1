"""How a task's checkpoint becomes a bundle: one function a task, chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable

from glyphyard.core.records import BundleRecord
from glyphyard.export.bundle import export_checkpoint
from glyphyard.export.detector import export_detector
from glyphyard.export.segmentation import export_segmenter
from glyphyard.export.super_resolution import export_restorer

# (recipe, checkpoint, dataset, folder, say) → what was made
Exporter = Callable[..., BundleRecord]
EXPORTERS: dict[str, Exporter] = {
    "recognition": export_checkpoint,
    "super_resolution": export_restorer,
    "detection": export_detector,
    "segmentation": export_segmenter,
}


def exporter_of(task: str) -> Exporter:
    """Return the exporter of a recipe's task."""
    return EXPORTERS[task]
