"""How a task's checkpoint becomes a bundle: one function a task, chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from glyphyard.core.records import BundleRecord

# (recipe, checkpoint, dataset, folder, say) → what was made
Exporter = Callable[..., BundleRecord]
EXPORTERS = {
    "recognition": "bundle.export_checkpoint",
    "super_resolution": "super_resolution.export_restorer",
    "detection": "detector.export_detector",
    "segmentation": "segmentation.export_segmenter",
}


def exporter_of(task: str) -> Exporter:
    """Return the exporter of a recipe's task; only its own module is imported (one brings torchvision, seconds of it)."""
    module, name = EXPORTERS[task].split(".")
    exporter: Exporter = getattr(import_module(f"glyphyard.export.{module}"), name)
    return exporter
