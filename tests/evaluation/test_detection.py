"""A detector's figures: intervals hold the value, sizes have their own, the operating point is the caller's."""

from __future__ import annotations

import numpy as np

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth
from glyphyard.evaluation.detection import DetectionTally, score_detections, told


def pages(count: int, missed: float, seed: int = 1) -> tuple[list[Truth], list[Detections]]:
    """Pages of lines, of which a share is missed; some sure boxes stand where nothing is."""
    random = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(count):
        tops = np.arange(8) * 60.0
        boxes = np.stack([np.full(8, 20), tops, random.uniform(200, 500, 8), tops + 40], axis=1)
        seen = boxes[random.random(8) > missed] + random.normal(0, 2, 4)
        wrong = np.array([[600, 10, 660, 40.0]])
        found.append(
            Detections(np.vstack([seen, wrong]), np.append(random.uniform(0.5, 1, len(seen)), 0.3), np.zeros(len(seen) + 1, int))
        )
        truths.append(Truth(boxes, np.zeros(8, int)))
    return truths, found


def test_figures_carry_intervals_and_counts():
    scores = score_detections(DetectionTally.of(*pages(30, 0.2), 1), ["handwriting"], repeats=200)
    figures = scores.figures
    for name in ("map", "map50", "recall", "precision", "f1"):
        figure = figures[name]
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= figure.value <= figure.high
        assert figure.count == 240
    assert abs((figures["recall"].value or 0) - 0.8) < 0.1
    assert figures["precision"].value == 1  # the best F1 leaves the false boxes out
    assert figures["map_small"].value is None
    assert figures["map_small"].count == 0
    assert figures["map_large"].count + figures["map_medium"].count == 240
    assert scores.classes["handwriting"]["objects"] == 240
    assert "%" in told(scores)["map50"]


def test_a_given_confidence_is_used_and_the_best_is_told_too():
    scores = score_detections(DetectionTally.of(*pages(12, 0.2), 1), ["handwriting"], confidence=0.1, repeats=0)
    assert scores.operating.confidence == 0.1
    assert scores.operating.precision < scores.best.precision == 1
    assert scores.figures["precision"].value == scores.operating.precision
    assert scores.figures["precision"].low is None


def test_few_images_have_no_interval():
    assert score_detections(DetectionTally.of(*pages(4, 0.2), 1), ["handwriting"], repeats=50).figures["map50"].low is None


def test_pages_of_one_writer_are_drawn_together():
    truths, found = pages(30, 0.2)
    found[:15] = [Detections.none()] * 15  # one half of the writers is not found at all
    writers = [str(i // 3) for i in range(30)]
    alone = score_detections(DetectionTally.of(truths, found, 1), ["handwriting"], repeats=300).figures["recall"]
    together = score_detections(DetectionTally.of(truths, found, 1), ["handwriting"], repeats=300, groups=writers).figures[
        "recall"
    ]
    assert alone.low is not None
    assert alone.high is not None
    assert together.low is not None
    assert together.high is not None
    assert together.high - together.low > alone.high - alone.low


def test_classes_that_are_not_there_do_not_lower_the_mean():
    truths, found = pages(12, 0.0)
    assert score_detections(DetectionTally.of(truths, found, 2), ["handwriting", "stamp"], repeats=0).figures["map50"].value == 1
