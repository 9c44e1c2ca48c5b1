"""Average precision from counts that add up: for validation over batches and ranks, where no one sees all detections.

Detections are counted by confidence in BINS steps instead of being kept; what shares a bin counts as one confidence. Against
the exact rule (core/detection_metrics) that moves the mean by less than a point, so the final figures are not made of this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import OVERLAPS, RECALLS, Truth, match

BINS = 200


def size(classes: int) -> int:
    """Return how many numbers `count` gives for so many classes."""
    return classes * (2 * len(OVERLAPS) * BINS + 1)


def count(truths: Sequence[Truth], found: Sequence[Detections], classes: int, *, masks: bool = False) -> np.ndarray:
    """Return the counts of some images, (size,) float64: hits and misses by class, overlap and confidence; objects by class."""
    sums = np.zeros((classes, 2 * len(OVERLAPS) * BINS + 1))
    for label in range(classes):
        matches = match(truths, found, label, masks=masks)
        place = np.clip((matches.scores * BINS).astype(int), 0, BINS - 1)
        for t in range(len(OVERLAPS)):
            for k, chosen in enumerate((matches.hit[t], matches.counts[t] & ~matches.hit[t])):
                start = (2 * t + k) * BINS
                sums[label, start : start + BINS] = np.bincount(place[chosen], minlength=BINS)
        sums[label, -1] = matches.objects.sum()
    return sums.reshape(-1)


def conclude(sums: np.ndarray, classes: int) -> dict[str, float]:
    """Return map, map50 and, at the confidence with the best F1 at IoU 0.5, precision, recall and f1; NaN without objects."""
    table = np.asarray(sums, np.float64).reshape(classes, -1)
    objects = table[:, -1]
    counts = table[:, :-1].reshape(classes, len(OVERLAPS), 2, BINS)[..., ::-1].cumsum(-1)  # from the surest downwards
    values = [[_precision(counts[c, t], objects[c]) for t in range(len(OVERLAPS))] for c in range(classes) if objects[c]]
    nan = float("nan")
    if not values:
        return dict.fromkeys(("map", "map50", "precision", "recall", "f1"), nan)
    hits, misses = counts[:, 0].sum(0)
    f1 = 2 * hits / (hits + misses + objects.sum())
    best = int(f1.argmax())
    found = hits[best] + misses[best]
    return {
        "map": float(np.mean(values)),
        "map50": float(np.mean([v[0] for v in values])),
        "precision": float(hits[best] / found) if found else nan,
        "recall": float(hits[best] / objects.sum()),
        "f1": float(f1[best]),
    }


def _precision(counts_2B: np.ndarray, objects: float) -> float:
    hits, misses = counts_2B
    precision = np.maximum.accumulate((hits / np.maximum(hits + misses, 1))[::-1])[::-1]
    at = np.searchsorted(hits / objects, RECALLS, side="left")
    return float(precision[at[at < BINS]].sum() / len(RECALLS))
