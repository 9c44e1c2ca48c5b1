"""Our average precision is that of pycocotools, on random scenes with every kind of trouble, to 1e-6."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import (
    AREAS_PX,
    Truth,
    at_confidence,
    average_precision,
    best_f1,
    match,
)

SIDE = 160
CLASSES = 3
Scene = tuple[list[Truth], list[Detections]]


def scene(seed: int, images: int = 6, masks: bool = False) -> Scene:
    """Images with objects of all sizes; found ones are shifted, doubled, missed, mistaken, tied in score, or made up."""
    random = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(images):
        count = int(random.integers(0, 9))
        corner, size = random.integers(0, 90, (count, 2)), random.integers(3, random.choice([12, 40, 130]), (count, 2))
        boxes = np.hstack([corner, np.minimum(corner + size, SIDE)]).astype(float)
        classes = random.integers(0, CLASSES, count)
        seen = np.repeat(np.arange(count), random.integers(0, 4, count))
        moved = boxes[seen] + np.round(random.normal(0, random.choice([0.5, 2, 8]), (len(seen), 4)))
        extra = int(random.integers(0, 4))
        corner = random.integers(0, 100, (extra, 2))
        made = np.hstack([corner, corner + random.integers(2, 60, (extra, 2))])
        guess = np.clip(np.vstack([moved, made]), 0, SIDE)
        guess = np.hstack([np.minimum(guess[:, :2], SIDE - 1), np.maximum(guess[:, 2:], np.minimum(guess[:, :2], SIDE - 1) + 1)])
        kinds = np.concatenate([classes[seen], random.integers(0, CLASSES, extra)])
        kinds = np.where(random.random(len(kinds)) < 0.15, random.integers(0, CLASSES, len(kinds)), kinds)
        scores = np.round(random.random(len(kinds)), int(random.integers(1, 5)))
        truths.append(Truth(boxes, classes, filled(boxes) if masks else None))
        found.append(Detections(guess, scores, kinds, filled(guess) if masks else None))
    return truths, found


def filled(boxes: np.ndarray) -> np.ndarray:
    """An ellipse in each box."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    x1, y1, x2, y2 = (boxes[:, k, None, None] for k in range(4))
    return ((x - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((y - (y1 + y2) / 2) / (y2 - y1)) ** 2 <= 0.25


def coco_precision(truths: list[Truth], found: list[Detections], masks: bool) -> np.ndarray:
    """Return pycocotools' average precision, (T, classes, sizes), −1 without objects."""
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entry(number: int, image: int, label: int, box: np.ndarray, mask: np.ndarray | None) -> dict[str, Any]:
        x1, y1, x2, y2 = map(float, box)
        shape: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        if mask is not None:
            shape |= {"segmentation": rle.encode(np.asfortranarray(mask.astype(np.uint8))), "area": float(mask.sum())}
        return {"id": number, "image_id": image, "category_id": int(label), "iscrowd": 0, **shape}

    def entries(sides: list[Any]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for i, side in enumerate(sides):
            for k in range(len(side.boxes)):
                mask = side.masks[k] if masks else None
                extra = {"score": float(side.scores[k])} if isinstance(side, Detections) else {}
                out.append(entry(len(out) + 1, i, side.classes[k], side.boxes[k], mask) | extra)
        return out

    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for side in (truths, found):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": i, "width": SIDE, "height": SIDE} for i in range(len(truths))],
                "categories": [{"id": k} for k in range(CLASSES)],
                "annotations": entries(side),
            }
            coco.createIndex()
            sides.append(coco)
        judge = COCOeval(*sides, "segm" if masks else "bbox")
        judge.params.areaRng = [list(span) for span in AREAS_PX.values()]
        judge.params.areaRngLbl = list(AREAS_PX)
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][..., -1]  # (T, recalls, classes, sizes)
    return np.where((precision < 0).all(1), -1, precision.mean(1))


@pytest.mark.parametrize("masks", [False, True])
def test_average_precision_is_that_of_pycocotools(masks):
    pytest.importorskip("pycocotools")

    @settings(max_examples=6 if masks else 25)
    @given(st.integers(0, 2**32 - 1))
    def holds(seed: int) -> None:
        truths, found = scene(seed, masks=masks)
        expected = coco_precision(truths, found, masks)
        for k, span in enumerate(AREAS_PX.values()):
            for label in range(CLASSES):
                ours = average_precision(match(truths, found, label, area_px=span, masks=masks))
                assert np.allclose(np.nan_to_num(ours, nan=-1), expected[:, label, k], atol=1e-6)

    holds()


def test_more_than_a_hundred_detections_are_cut_as_pycocotools_cuts_them():
    pytest.importorskip("pycocotools")
    truths = [t for t in scene(3, 12)[0] if len(t.boxes)][:2]
    random = np.random.default_rng(3)
    crowd = []
    for truth in truths:
        near = truth.boxes[random.integers(0, len(truth.boxes), 150)] + random.integers(-1, 2, (150, 4))
        crowd.append(Detections(near, random.random(150), np.zeros(150, int)))
    expected = coco_precision(truths, crowd, False)[:, 0, 0]
    assert np.allclose(average_precision(match(truths, crowd, 0)), expected, atol=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_weights_count_images_as_often_as_they_are_repeated(seed):
    truths, found = scene(seed)
    # Scores that differ: equal ones in two copies of an image are cut between them, which weights do not do.
    found = [Detections(d.boxes, np.random.default_rng(i).random(len(d)), d.classes) for i, d in enumerate(found)]
    times = np.random.default_rng(seed).integers(0, 3, len(truths))
    doubled = [i for i, n in enumerate(times) for _ in range(n)]
    once = at_confidence(match(truths, found, None), 0.4, weights=times)
    again = at_confidence(match([truths[i] for i in doubled], [found[i] for i in doubled], None), 0.4)
    assert (once.hits, once.found, once.objects) == (again.hits, again.found, again.objects)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_no_confidence_has_a_better_f1_than_the_best(seed):
    truths, found = scene(seed)
    matches = match(truths, found, None)
    best = best_f1(matches)
    others = [at_confidence(matches, c).f1 for c in np.unique(matches.scores)]
    assert all(np.isnan(o) or o <= best.f1 + 1e-12 for o in others)
    if len(matches.scores):
        assert at_confidence(matches, best.confidence).hits == best.hits


def test_what_is_perfect_is_one_and_what_is_empty_is_undefined():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 60, 60.0]])
    truth, perfect = Truth(boxes, np.zeros(2, int)), Detections(boxes, np.array([0.9, 0.8]), np.zeros(2, int))
    matches = match([truth], [perfect], 0)
    assert (average_precision(matches) == 1).all()
    assert (best_f1(matches).precision, best_f1(matches).recall, best_f1(matches).confidence) == (1, 1, 0.8)
    nothing = match([Truth(np.zeros((0, 4)), np.zeros(0, int))], [Detections.none()], 0)
    assert np.isnan(average_precision(nothing)).all()
    assert np.isnan(best_f1(nothing).recall)
    missed = match([truth], [Detections.none()], 0)
    assert (average_precision(missed) == 0).all()
    assert best_f1(missed).recall == 0
    assert average_precision(match([], [], 0)).shape == (10,)
