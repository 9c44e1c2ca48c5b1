"""Prepared pages as ultralytics' dataset: our rows in place of its own scan, and our choice of rows for each epoch.

Import it after `nn.yolo.open_ultralytics` only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ultralytics.data.dataset import YOLODataset

from glyphyard.core.boxes import to_centres
from glyphyard.data.page_rows import PreparedPage
from glyphyard.data.sampling import epoch_indices
from glyphyard.recipe.stage import SamplingConfig


class PageDataset(YOLODataset):
    """Pages whose boxes come from our rows: no label scan, and no pickled cache beside the prepared data."""

    def __init__(self, rows: Sequence[PreparedPage], **options: Any) -> None:
        self.rows = rows
        self.order = np.arange(len(rows))
        super().__init__(**options)

    def get_img_files(self, img_path: str) -> list[str]:
        """Return the image files, in order of the rows."""
        return [str(row.image) for row in self.rows]

    def get_labels(self) -> list[dict[str, Any]]:
        """Return what ultralytics wants to know of each image."""
        return [_label(row) for row in self.rows]

    def draw(self, sampling: SamplingConfig, seed: int, epoch: int) -> None:
        """Choose the epoch's rows: every one once, or as many as the recipe asks for by the sources' weights."""
        if sampling.mode == "weighted":
            sources = [row.source for row in self.rows]
            drawn = epoch_indices(len(self.rows), len(self.rows), 1, 1, sampling, sources, seed, epoch, 0)
            self.order = drawn.flatten().numpy()
        # What mosaic mixes in comes from pages seen lately: from none, so that a resumed epoch is the same.
        self.buffer, self.ims = [], [None] * self.ni

    def __len__(self) -> int:
        """Return how many rows an epoch has."""
        return len(self.order)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one augmented page of the epoch."""
        page: dict[str, Any] = super().__getitem__(int(self.order[index]))
        return page


def _label(row: PreparedPage) -> dict[str, Any]:
    size = [row.width, row.height, row.width, row.height]
    return {
        "im_file": str(row.image),
        "shape": (row.height, row.width),
        "cls": row.classes.reshape(-1, 1).astype(np.float32),
        "bboxes": (to_centres(row.boxes) / size).reshape(-1, 4).astype(np.float32),
        "segments": [],
        "keypoints": None,
        "normalized": True,
        "bbox_format": "xywh",
    }
