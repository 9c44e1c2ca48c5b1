"""Counts of parts add up to those of the whole, and are close to the exact rule."""

from __future__ import annotations

import numpy as np

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth, average_precision, best_f1, match
from glyphyard.core.detection_sums import conclude, count, size


def scenes(images: int) -> tuple[list[Truth], list[Detections]]:
    random = np.random.default_rng(8)
    truths, found = [], []
    for _ in range(images):
        corner, side = random.uniform(0, 300, (9, 2)), random.uniform(10, 90, (9, 2))
        boxes, classes = np.hstack([corner, corner + side]), random.integers(0, 2, 9)
        guess = np.vstack([boxes[random.random(9) < 0.8], boxes[:2] + 400]) + random.normal(0, 3)
        kinds = np.concatenate([classes, classes])[: len(guess)]
        found.append(Detections(guess, random.beta(2, 2, len(guess)), kinds))
        truths.append(Truth(boxes, classes))
    return truths, found


def test_parts_add_up_to_the_whole_and_the_mean_is_close_to_the_exact_one():
    truths, found = scenes(60)
    whole = count(truths, found, 2)
    parts = count(truths[:7], found[:7], 2) + count(truths[7:], found[7:], 2)
    assert whole.shape == (size(2),)
    assert np.array_equal(whole, parts)
    figures = conclude(whole, 2)
    exact = np.stack([average_precision(match(truths, found, k)) for k in range(2)])
    assert abs(figures["map"] - exact.mean()) < 0.01
    assert abs(figures["map50"] - exact[:, 0].mean()) < 0.01
    assert 0 < figures["map"] < figures["map50"] < 1


def test_precision_and_recall_are_those_of_the_best_confidence():
    truths, found = scenes(40)
    truths, found = [Truth(t.boxes, t.classes * 0) for t in truths], [Detections(d.boxes, d.scores, d.classes * 0) for d in found]
    figures, exact = conclude(count(truths, found, 1), 1), best_f1(match(truths, found, 0))
    assert abs(figures["f1"] - exact.f1) < 0.01
    assert abs(figures["recall"] - exact.recall) < 0.05


def test_nothing_to_find_is_undefined():
    assert all(np.isnan(v) for v in conclude(np.zeros(size(3)), 3).values())
