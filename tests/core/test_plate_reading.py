"""Characters become a plate's text: sure ones, one in a place, row after row."""

from __future__ import annotations

import numpy as np
import pytest

from glyphyard.core.boxes import Detections
from glyphyard.core.plate_reading import read_plate

CLASSES = "AB12"


def found(*characters: tuple[float, float, str, float]) -> Detections:
    """Characters of 10×20 pixels at (x, y), what they are and how sure."""
    boxes = np.array([(x, y, x + 10, y + 20) for x, y, _, _ in characters], float).reshape(-1, 4)
    scores = np.array([score for *_, score in characters], float)
    return Detections(boxes, scores, np.array([CLASSES.index(c) for _, _, c, _ in characters], int))


def test_two_rows_are_read_from_the_top_and_from_the_left():
    plate = found((20, 30, "2", 0.9), (0, 30, "1", 0.8), (14, 0, "B", 0.7), (0, 2, "A", 0.6))
    reading = read_plate(plate, CLASSES, 0.5)
    assert reading.text == "AB12"
    assert reading.character_confidences == (0.6, 0.7, 0.8, 0.9)
    assert reading.confidence == pytest.approx(0.6 * 0.7 * 0.8 * 0.9)


def test_of_two_characters_in_one_place_the_surer_is_read():
    assert read_plate(found((0, 0, "A", 0.6), (1, 0, "B", 0.8), (12, 0, "1", 0.9)), CLASSES, 0.5).text == "B1"


def test_unsure_characters_are_not_read():
    assert read_plate(found((0, 0, "A", 0.4), (12, 0, "B", 0.8)), CLASSES, 0.5).text == "B"
    nothing = read_plate(found((0, 0, "A", 0.4)), CLASSES, 0.5)
    assert (nothing.text, nothing.character_confidences) == ("", ())
    assert nothing.confidence == pytest.approx(0.6)
    assert read_plate(Detections.none(), CLASSES, 0.5).confidence == 1.0
