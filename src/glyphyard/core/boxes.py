"""Boxes as arrays: corners and centres, overlap, and the one non-maximum suppression.

Shapes: N, M boxes; a box is x1, y1, x2, y2 in pixels (x right, y down, x2 and y2 not included), unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

MAX_CANDIDATES = 30_000  # boxes that suppression looks at, the surest first


@dataclass(frozen=True)
class Detections:
    """What was found on one image: boxes (N,4) float, scores (N,) in 0..1, classes (N,) int; masks (N,H,W) bool or None."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def none(cls) -> Detections:
        """Return what was found where nothing was found."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: np.ndarray | Sequence[int]) -> Detections:
        """Return the detections at `index` (numbers, or a mask of N)."""
        at = np.asarray(index)
        at = at if at.dtype == bool else at.astype(np.int64)
        masks = None if self.masks is None else self.masks[at]
        return Detections(self.boxes[at], self.scores[at], self.classes[at], masks)


def to_corners(centres_N4: np.ndarray) -> np.ndarray:
    """Turn (…,4) centre x, centre y, width, height into corners."""
    middle, half = centres_N4[..., :2], centres_N4[..., 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=-1)


def to_centres(boxes_N4: np.ndarray) -> np.ndarray:
    """Turn (…,4) corners into centre x, centre y, width, height."""
    low, high = boxes_N4[..., :2], boxes_N4[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def clip(boxes_N4: np.ndarray, width: float, height: float) -> np.ndarray:
    """Cut boxes (…,4) at the border of an image."""
    return np.clip(boxes_N4, 0, np.array([width, height, width, height]))


def area(boxes_N4: np.ndarray) -> np.ndarray:
    """Return the areas (…,); 0 for a box that is turned inside out."""
    size = np.maximum(boxes_N4[..., 2:] - boxes_N4[..., :2], 0)
    return size[..., 0] * size[..., 1]


def box_iou(a_N4: np.ndarray, b_M4: np.ndarray) -> np.ndarray:
    """Return intersection over union of each pair, (N,M) float64; 0 where both are empty."""
    a, b = np.asarray(a_N4, np.float64).reshape(-1, 4), np.asarray(b_M4, np.float64).reshape(-1, 4)
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    size = np.maximum(high - low, 0)
    shared = size[..., 0] * size[..., 1]
    return _over_union(shared, area(a), area(b))


def mask_iou(a_NHW: np.ndarray, b_MHW: np.ndarray) -> np.ndarray:
    """Return intersection over union of each pair of masks on one image, (N,M) float64."""
    if not len(a_NHW) or not len(b_MHW):
        return np.zeros((len(a_NHW), len(b_MHW)))
    a, b = (np.asarray(m, bool).reshape(len(m), -1).astype(np.float32) for m in (a_NHW, b_MHW))
    shared = (a @ b.T).astype(np.float64)  # counts stay exact in float32 up to 16 megapixels
    return _over_union(shared, a.sum(1, dtype=np.float64), b.sum(1, dtype=np.float64))


def _over_union(shared_NM: np.ndarray, a_N: np.ndarray, b_M: np.ndarray) -> np.ndarray:
    union = a_N[:, None] + b_M[None, :] - shared_NM
    return np.divide(shared_NM, union, out=np.zeros_like(shared_NM), where=union > 0)


def suppress(
    boxes_N4: np.ndarray, scores_N: np.ndarray, iou: float, classes_N: np.ndarray | None = None, most: int | None = None
) -> np.ndarray:
    """Return the numbers of the boxes that stay, the surest first: one that overlaps a surer one by more than `iou` goes.

    Greedy; with `classes_N` a box only yields to one of its own class. Equal scores keep their order. At most `most`.
    """
    order = np.argsort(-scores_N, kind="stable")[:MAX_CANDIDATES]
    boxes = np.asarray(boxes_N4, np.float64)[order]
    kinds = np.zeros(len(order), np.int64) if classes_N is None else np.asarray(classes_N)[order]
    areas, alive = area(boxes), np.ones(len(order), bool)
    kept = list[int]()
    for i in range(len(order)):
        if not alive[i]:
            continue
        if most is not None and len(kept) == most:
            break
        kept.append(order[i])
        rest = i + 1 + np.flatnonzero(alive[i + 1 :])
        low, high = np.maximum(boxes[rest, :2], boxes[i, :2]), np.minimum(boxes[rest, 2:], boxes[i, 2:])
        size = np.maximum(high - low, 0)
        shared = size[:, 0] * size[:, 1]
        alive[rest[(shared > iou * (areas[rest] + areas[i] - shared)) & (kinds[rest] == kinds[i])]] = False
    return np.array(kept, np.int64)
