"""The configuration of YOLOv8 (Jocher et al., 2023): one network of five sizes that finds boxes on a square canvas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glyphyard.core.capacity import Capacity
from glyphyard.recipe.base import Fraction, Strict


class YoloConfig(Strict):
    """Page → boxes with a class and a score, by ultralytics' YOLOv8 (AGPL-3.0); losses box, cls, dfl with their usual weights."""

    network: Literal["yolo"]
    size: Literal["n", "s", "m", "l", "x"] = Field("n", description="3.2, 11, 26, 44 or 68 million weights.")
    imgsz: int = Field(
        640, ge=64, le=2048, multiple_of=32, description="Side of the canvas in pixels: pages are laid onto it, grey beside them."
    )
    pretrained: str | None = Field(
        None,
        description="Weights to start from if they lie on disk (yolov8n.pt); random otherwise, and said. Nothing is downloaded.",
    )
    accumulate: int = Field(1, ge=1, le=64, description="Batches whose gradients make one step.")
    mosaic: Fraction = Field(0.0, description="Chance that a training picture is made of four pages; off for text.")
    close_mosaic_epochs: int = Field(10, ge=0, description="Last epochs without mosaic.")
    nms: Fraction = Field(0.7, description="Overlap with a surer box of its class beyond which a box goes.")
    most: int = Field(300, ge=1, le=3000, description="Boxes on one page at most.")

    @property
    def pixel_steps(self) -> tuple[int, int]:
        """Pages of any size are read; `dataset.image` plays no part."""
        return 1, 1

    def capacity(self, width: int) -> Capacity:
        """Return how many boxes can be found; the width does not matter."""
        return Capacity(self.most, blanks=False)
