"""A picture of pages with their regions drawn: where people rather look than read."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

CELL_W, CELL_H = 480, 640
COLOURS = ((60, 60, 230), (60, 170, 40), (220, 120, 30), (30, 170, 220), (200, 60, 200), (120, 120, 30))  # BGR, by class
MOST_NAMED = 60  # labels on one page; more would hide what they name


def draw_regions(
    image: np.ndarray,
    boxes_N4: np.ndarray,
    labels: Sequence[str],
    polygons: Sequence[np.ndarray | None] = (),
    named: bool = True,
    scores: Sequence[float] = (),
) -> np.ndarray:
    """Return a copy (H,W,3) BGR of a grey or BGR image with each region outlined in its class's colour, and its label."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image[..., :3].copy()
    kinds = sorted(set(labels))
    thick = max(round(max(picture.shape[:2]) / 700), 1)
    for i, (box, label) in enumerate(zip(np.asarray(boxes_N4).reshape(-1, 4).round().astype(int).tolist(), labels, strict=True)):
        colour = COLOURS[kinds.index(label) % len(COLOURS)]
        polygon = polygons[i] if i < len(polygons) else None
        if polygon is None:
            cv2.rectangle(picture, (box[0], box[1]), (box[2], box[3]), colour, thick)
        else:
            cv2.polylines(picture, [np.round(polygon).astype(np.int32)], True, colour, thick, cv2.LINE_AA)
        if named and (len(kinds) > 1 or len(scores)) and len(labels) <= MOST_NAMED:
            text = label + (f" {scores[i]:.2f}" if len(scores) else "")
            cv2.putText(picture, text, (box[0], max(box[1] - 3, 10)), cv2.FONT_HERSHEY_SIMPLEX, 0.4 * thick, colour, thick)
    return picture


def page_sheet(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4) -> np.ndarray:
    """Return one picture (H,W,3) BGR of many pages, each fitted into a cell, with its caption."""
    columns = max(min(columns, len(pictures)), 1)
    rows = max(-(-len(pictures) // columns), 1)
    tallest = max((p.shape[0] * (CELL_W - 6) / p.shape[1] for p in pictures), default=0)
    cell_h = int(min(CELL_H, tallest + 28))  # flat crops need no tall cells
    sheet = np.full((rows * cell_h, columns * CELL_W, 3), 60, np.uint8)
    for k, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        top, left = (k // columns) * cell_h, (k % columns) * CELL_W
        scale = min((CELL_W - 6) / picture.shape[1], (cell_h - 26) / picture.shape[0])
        size = (max(int(picture.shape[1] * scale), 1), max(int(picture.shape[0] * scale), 1))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
        sheet[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=method)
        cv2.putText(sheet, caption[:64], (left + 4, top + cell_h - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 255, 255), 1)
    return sheet
