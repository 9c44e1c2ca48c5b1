"""Reading a YOLO head: the raw output of an exported detector (YOLOv8 layout) → boxes on the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glyphyard.core.boxes import Detections, suppress, to_corners
from glyphyard.core.errors import BadInput


@dataclass(frozen=True)
class BoxRule:
    """Which boxes count: score at least `confidence`, overlap with a surer one of its class at most `iou`, so many at most."""

    confidence: float = 0.25
    iou: float = 0.7
    most: int = 300
    across_classes: bool = False  # a box also yields to a surer one of another class


def decode_yolo(output_BKA: np.ndarray, classes: int, rule: BoxRule) -> list[Detections]:
    """Read (batch, 4 + classes, anchors): centre x, centre y, width, height in canvas pixels, then each class's probability.

    One class an anchor, its likeliest; numbers that are not finite are no box. Another shape is a `BadInput`.
    """
    if output_BKA.ndim != 3 or output_BKA.shape[1] != 4 + classes:
        raise BadInput(
            "output", f"expected (batch, {4 + classes}, anchors), found {output_BKA.shape}", "is it the raw YOLO head?"
        )
    return [_read(image_KA, rule) for image_KA in output_BKA]


def _read(image_KA: np.ndarray, rule: BoxRule) -> Detections:
    labels = image_KA[4:].argmax(0)
    scores = image_KA[4:].max(0)
    # NaN compares false, so it never passes; an infinite side would.
    wanted = np.flatnonzero((scores >= rule.confidence) & np.isfinite(image_KA[:4]).all(0))
    boxes = to_corners(image_KA[:4, wanted].T.astype(np.float64))
    found = Detections(boxes, scores[wanted].astype(np.float64), labels[wanted].astype(np.int64))
    kinds = None if rule.across_classes else found.classes
    return found.take(suppress(found.boxes, found.scores, rule.iou, kinds, rule.most))
