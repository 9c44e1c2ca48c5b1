"""Drawn pages: the worst first, every mistake in its colour."""

from __future__ import annotations

import numpy as np
import pytest
from dark_pages import box, page

from glyphyard.report.drawn import MISSED, RIGHT, WRONG, choose_pages, draw_page


def row(number: int = 0, missed: int = 0, wrong: int = 0, **changes: object) -> dict[str, object]:
    value = {"id": number, "path": f"{number}.png", "missed": missed, "wrong": wrong, "confidence": 0.5}
    boxes = {"true_boxes": [box((0, 0))], "true_classes": [0], "boxes": [], "scores": [], "classes": []}
    return value | boxes | changes


def colours_at(image: np.ndarray, corner: list[float]) -> tuple[int, ...]:
    return tuple(image[int(corner[1]) + 8, int(corner[0])].tolist())  # the middle of the left side


@pytest.mark.parametrize(
    ("boxes", "scores", "at", "colour"),
    [
        ([box((0, 0))], [0.9], (0, 0), RIGHT),
        ([], [], (0, 0), MISSED),
        ([box((0, 0))], [0.4], (0, 0), MISSED),  # found, but not surely enough to count
        ([box((3, 3))], [0.9], (3, 3), WRONG),
        ([box((0, 0)), box((0, 0))], [0.9, 0.8], (0, 0), WRONG),  # the second of two is wrong, and drawn over the first
    ],
)
def test_each_mistake_has_its_colour(boxes, scores, at, colour):
    drawn = draw_page(page([]), row(boxes=boxes, scores=scores, classes=[0] * len(boxes)))
    assert colours_at(drawn, box(at)) == colour


def test_the_worst_pages_come_first_and_a_few_good_ones_last():
    rows = [row(k, missed=k % 5) for k in range(20)]
    chosen = choose_pages(rows)
    mistakes = [one["missed"] for one in chosen]
    assert mistakes[:8] == sorted(mistakes[:8], reverse=True)
    assert mistakes[0] == 4
    assert mistakes[8:] == [0, 0]
