"""Boxes: conversions invert each other, overlap is symmetric, suppression leaves no two that overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.boxes import Detections, area, box_iou, clip, mask_iou, suppress, to_centres, to_corners

seeds = st.integers(0, 2**32 - 1)


def some_boxes(seed: int, count: int = 30, side: float = 100) -> np.ndarray:
    """Draw boxes at random."""
    random = np.random.default_rng(seed)
    corner, size = random.uniform(0, side, (count, 2)), random.uniform(1, side / 2, (count, 2))
    return np.hstack([corner, corner + size])


@given(seeds)
def test_corners_and_centres_invert_each_other(seed):
    boxes = some_boxes(seed)
    assert np.allclose(to_corners(to_centres(boxes)), boxes)
    assert np.allclose(area(boxes), to_centres(boxes)[:, 2] * to_centres(boxes)[:, 3])


@given(seeds)
def test_overlap_is_symmetric_and_one_with_itself(seed):
    a, b = some_boxes(seed), some_boxes(seed + 1, 7)
    iou = box_iou(a, b)
    assert iou.shape == (30, 7)
    assert np.allclose(iou, box_iou(b, a).T)
    assert np.allclose(np.diag(box_iou(a, a)), 1)
    assert iou.min() >= 0
    assert iou.max() <= 1


def test_empty_boxes_overlap_nothing():
    assert box_iou(np.zeros((1, 4)), np.zeros((2, 4))).tolist() == [[0, 0]]
    assert box_iou(np.zeros((0, 4)), np.ones((2, 4))).shape == (0, 2)
    assert area(np.array([[5, 5, 1, 9]])) == 0
    assert mask_iou(np.zeros((0, 4, 4)), np.ones((2, 4, 4))).shape == (0, 2)


@given(seeds)
def test_masks_of_boxes_overlap_as_the_boxes_do(seed):
    boxes = np.round(some_boxes(seed, 8, 20))
    masks = np.zeros((8, 40, 40), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    assert np.allclose(mask_iou(masks, masks), box_iou(clip(boxes, 40, 40), clip(boxes, 40, 40)))


@given(seeds, st.floats(0.05, 0.95), st.booleans())
def test_suppression_keeps_the_surest_of_each_crowd(seed, threshold, by_class):
    boxes, random = some_boxes(seed), np.random.default_rng(seed)
    scores, classes = np.round(random.random(30), 1), random.integers(0, 2, 30)
    kept = suppress(boxes, scores, threshold, classes if by_class else None)
    same = classes[:, None] == classes[None] if by_class else np.ones((30, 30), bool)
    crowd = (box_iou(boxes, boxes) > threshold) & same
    assert not crowd[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)].any()
    for gone in set(range(30)) - set(kept.tolist()):
        assert any(crowd[gone, i] and scores[i] >= scores[gone] for i in kept)
    assert (np.diff(scores[kept]) <= 0).all()


def test_nothing_found_is_nothing_suppressed():
    none = Detections.none()
    assert suppress(none.boxes, none.scores, 0.5).tolist() == []
    assert len(none.take([])) == 0


def test_taking_by_mask_and_by_number_agree():
    found = Detections(some_boxes(1, 3), np.array([0.1, 0.9, 0.5]), np.array([0, 1, 2]), np.ones((3, 2, 2), bool))
    by_mask, by_number = found.take(np.array([True, False, True])), found.take([0, 2])
    assert by_mask.boxes.tolist() == by_number.boxes.tolist()
    assert by_mask.classes.tolist() == by_number.classes.tolist() == [0, 2]
    assert by_number.masks is not None
    assert len(by_number.masks) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_suppression_of_few(count):
    assert len(suppress(some_boxes(3, count), np.ones(count), 0.5)) == count


def test_as_many_boxes_stay_as_are_asked_for():
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(6)], float)
    scores = np.array([0.1, 0.9, 0.5, 0.7, 0.3, 0.2])
    assert suppress(boxes, scores, 0.5, most=3).tolist() == suppress(boxes, scores, 0.5).tolist()[:3] == [1, 3, 2]
