"""In which order a person reads boxes: characters in rows, and regions of a page by columns.

No model: geometry only. Boxes are (N,4) x1, y1, x2, y2 in pixels, y down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SAME_ROW = 0.5  # vertical overlap of neighbours in a row, as a share of the lower one's height
SHRINK = 0.25  # share of a box's height that may overlap the next line (descenders, skew)
TILT_DEG = 24  # a plate is tilted by at most as much
LEVEL_FIRST = 0.01  # what a degree of tilt costs, in rows
GUTTER = 0.6  # width of the gap between two columns, in median box heights


def rows_of(boxes_N4: np.ndarray) -> list[list[int]]:
    """Return the box numbers row by row from the top, each from left to right.

    A box joins the row whose last box it overlaps most in height, looking from left to right: so a tilted row stays one.
    """
    boxes = np.asarray(boxes_N4, np.float64).reshape(-1, 4)
    rows: list[list[int]] = []
    for i in np.lexsort((boxes[:, 1], boxes[:, 0] + boxes[:, 2])).tolist():
        shares = [_overlap(boxes[i], boxes[row[-1]]) for row in rows]
        best = int(np.argmax(shares)) if shares else -1
        if best >= 0 and shares[best] >= SAME_ROW:
            rows[best].append(i)
        else:
            rows.append([i])
    return sorted(rows, key=lambda row: float(np.mean(boxes[row][:, [1, 3]])))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    shared = min(a[3], b[3]) - max(a[1], b[1])
    return float(shared / max(min(a[3] - a[1], b[3] - b[1]), 1e-9))


def plate_rows(boxes_N4: np.ndarray) -> list[list[int]]:
    """Return the rows of a plate's characters, however the plate is tilted: see `rows_of`.

    Of several tilts it is the one at which rows are few and level, and of equal ones the least. A gap in a tilted row would
    part it otherwise: its halves stand at different heights.
    """
    boxes = np.asarray(boxes_N4, np.float64).reshape(-1, 4)
    if len(boxes) < 3:
        return rows_of(boxes)
    height = max(float(np.median(boxes[:, 3] - boxes[:, 1])), 1e-9)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    best: tuple[float, list[list[int]]] = (np.inf, [])
    for degrees in sorted(range(-TILT_DEG, TILT_DEG + 1, 3), key=abs):
        drop = np.tan(np.radians(degrees)) * (middle[:, 0] - middle[:, 0].mean())
        rows = rows_of(boxes - np.outer(drop, [0, 1, 0, 1]))
        level = middle[:, 1] - drop
        uneven = sum(float(np.square(level[row] - level[row].mean()).sum()) for row in rows) / height**2
        cost = len(rows) + uneven + LEVEL_FIRST * abs(degrees)
        if cost < best[0]:
            best = (cost, rows)
    return best[1]


def read_characters(boxes_N4: np.ndarray, characters: Sequence[str]) -> str:
    """Return the text of a plate from its characters: row after row, left to right."""
    return "".join(characters[i] for row in plate_rows(boxes_N4) for i in row)


def reading_order(boxes_N4: np.ndarray) -> list[int]:
    """Return the box numbers of a page's regions in reading order: headings, then column by column, then row by row.

    A page is cut at a gutter that no box crosses if two boxes or more stand on either side; else at the first horizontal
    gap above or below which there is such a gutter; else it is read in rows (XY-cut; Nagy & Seth, 1984).
    """
    boxes = np.asarray(boxes_N4, np.float64).reshape(-1, 4)
    if not len(boxes):
        return []
    gutter = GUTTER * float(np.median(boxes[:, 3] - boxes[:, 1]))
    return _cut(boxes, list(range(len(boxes))), gutter)


def _cut(boxes: np.ndarray, ids: list[int], gutter: float) -> list[int]:
    if halves := _columns(boxes, ids, gutter):
        return _cut(boxes, halves[0], gutter) + _cut(boxes, halves[1], gutter)
    for above, below in _bands(boxes, ids):
        if _columns(boxes, above, gutter) or _columns(boxes, below, gutter):
            return _cut(boxes, above, gutter) + _cut(boxes, below, gutter)
    return [ids[k] for row in rows_of(boxes[ids]) for k in row]


def _columns(boxes: np.ndarray, ids: list[int], gutter: float) -> tuple[list[int], list[int]] | None:
    """Return the boxes left and right of the widest gutter with two rows or more on either side."""
    order = sorted(ids, key=lambda i: boxes[i, 0])
    reach, best = -np.inf, (gutter, 0)
    for k, i in enumerate(order):
        if k and boxes[i, 0] - reach > best[0]:
            best = (boxes[i, 0] - reach, k)
        reach = max(reach, boxes[i, 2])
    left, right = order[: best[1]], order[best[1] :]
    if not best[1] or min(len(rows_of(boxes[left])), len(rows_of(boxes[right]))) < 2:
        return None
    return left, right


def _bands(boxes: np.ndarray, ids: list[int]) -> list[tuple[list[int], list[int]]]:
    """Return each way to part the boxes at a horizontal gap, from the top."""
    inset = SHRINK * (boxes[:, 3] - boxes[:, 1])
    order = sorted(ids, key=lambda i: boxes[i, 1] + inset[i])
    found, reach = [], -np.inf
    for k, i in enumerate(order):
        if k and boxes[i, 1] + inset[i] > reach:
            found.append((order[:k], order[k:]))
        reach = max(reach, boxes[i, 3] - inset[i])
    return found
