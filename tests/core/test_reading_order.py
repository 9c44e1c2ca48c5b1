"""People read rows from the left, and columns one after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.reading_order import plate_rows, read_characters, reading_order, rows_of


def line_of(text: str, x: float, y: float, pitch: float = 12, height: float = 20) -> tuple[list[list[float]], list[str]]:
    return [[x + pitch * k, y, x + pitch * k + 10, y + height] for k in range(len(text))], list(text)


def turned(boxes: list[list[float]], degrees: float) -> np.ndarray:
    """Move each box as a turn of the plate moves its middle."""
    array, angle = np.array(boxes, float), math.radians(degrees)
    middle, half = (array[:, :2] + array[:, 2:]) / 2, (array[:, 2:] - array[:, :2]) / 2
    middle = middle @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return np.hstack([middle - half, middle + half])


@given(st.permutations(range(9)), st.floats(-12, 12), st.booleans())
def test_a_plate_of_one_or_two_rows_is_read_whatever_the_order_and_the_tilt(order, degrees, two):
    upper, lower = line_of("MH12", 10, 0), line_of("AB934", 4, 26) if two else line_of("AB934", 58, 0)
    boxes, text = turned(upper[0] + lower[0], degrees), upper[1] + lower[1]
    assert len(rows_of(boxes)) == 1 + two
    assert read_characters(boxes[list(order)], [text[i] for i in order]) == "MH12AB934"


@given(st.permutations(range(10)), st.floats(-20, 20), st.floats(0, 25), st.booleans())
def test_gaps_in_a_tilted_row_do_not_part_it(order, degrees, gap, two):
    first, second, third = line_of("DL", 0, 0), line_of("1N", 30 + gap, 0), line_of("4268AB", 70 + 2 * gap, 0)
    if two:
        third = line_of("4268AB", 5, 27)
    boxes, text = turned(first[0] + second[0] + third[0], degrees), first[1] + second[1] + third[1]
    assert len(plate_rows(boxes)) == 1 + two
    assert read_characters(boxes[list(order)], [text[i] for i in order]) == "DL1N4268AB"


def test_a_small_dash_between_tall_characters_stays_in_their_row():
    boxes = [[0, 0, 10, 20], [12, 9, 16, 11], [18, 0, 28, 20]]
    assert read_characters(np.array(boxes), ["A", "-", "B"]) == "A-B"


def column(x: float, top: float, lines: int, width: float = 200) -> list[list[float]]:
    return [[x, top + 30 * k, x + width - 13 * (k % 3), top + 30 * k + 24] for k in range(lines)]


def test_two_columns_below_a_heading_are_read_one_after_the_other():
    heading, left, right = [[40, 0, 420, 30]], column(0, 60, 6), column(250, 55, 7)
    boxes = np.array(heading + left + right)
    shuffled = np.random.default_rng(1).permutation(len(boxes))
    assert shuffled[reading_order(boxes[shuffled])].tolist() == list(range(len(boxes)))


def test_words_of_one_line_are_no_columns():
    words = [[x, y, x + 60, y + 20] for y in (0,) for x in (0, 120, 240)]
    assert reading_order(np.array(words)[[2, 0, 1]]) == [1, 2, 0]


def test_lines_that_touch_are_read_from_the_top():
    lines = [[10, 26 * k, 500 - 40 * (k % 2), 26 * k + 34] for k in range(8)]
    assert reading_order(np.array(lines)[::-1]) == list(range(7, -1, -1))


@pytest.mark.parametrize("count", [0, 1])
def test_few_boxes(count):
    assert reading_order(np.array([[0, 0, 5, 5]] * count, float).reshape(-1, 4)) == list(range(count))
    assert read_characters(np.zeros((0, 4)), []) == ""


@given(st.integers(0, 2**31))
def test_every_box_is_read_once(seed):
    random = np.random.default_rng(seed)
    corner = random.uniform(0, 500, (25, 2))
    boxes = np.hstack([corner, corner + random.uniform(3, 150, (25, 2))])
    assert sorted(reading_order(boxes)) == list(range(25))
    assert sorted(i for row in rows_of(boxes) for i in row) == list(range(25))


@pytest.mark.real_data
def test_real_plates_are_read_in_the_order_of_their_labels(real_data):
    """The annotators went from left to right, row by row: so does the reader, on almost all of them."""
    import csv
    import json

    agree = total = 0
    for path in sorted((real_data / "plate_characters" / "val" / "annotations").glob("*.csv")):
        with path.open(newline="") as opened:
            rows = [(row["char"], np.array(json.loads(row["polygon_json"])).reshape(-1, 2)) for row in csv.DictReader(opened)]
        if rows:
            boxes = np.array([[*points.min(0), *points.max(0)] for _, points in rows])
            total += 1
            agree += read_characters(boxes, [c for c, _ in rows]) == "".join(c for c, _ in rows)
    assert agree >= 0.9 * total > 30
