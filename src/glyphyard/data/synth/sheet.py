"""Contact sheets: many crops on one picture, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from glyphyard.data.synth.plate import SyntheticPlate

CELL_W, CELL_H, LINE_H = 200, 104, 22


def contact_sheet(plates: Sequence[SyntheticPlate], columns: int = 8) -> np.ndarray:
    """Return one (H, W, 3) BGR uint8 picture with every crop, fitted into a cell, and its text below it."""
    rows = max(-(-len(plates) // columns), 1)
    sheet = np.full((rows * (CELL_H + LINE_H), columns * CELL_W, 3), 40, np.uint8)
    for k, plate in enumerate(plates):
        row, column = divmod(k, columns)
        top, left = row * (CELL_H + LINE_H), column * CELL_W
        height, width = plate.image_bgr.shape[:2]
        scale = min((CELL_W - 4) / width, (CELL_H - 4) / height)
        size = (max(int(width * scale), 1), max(int(height * scale), 1))
        sheet[top : top + size[1], left : left + size[0]] = cv2.resize(plate.image_bgr, size)
        caption = f"{plate.text} {plate.meta.get('style', '')}"
        cv2.putText(sheet, caption, (left, top + CELL_H + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 255, 255), 1)
    return sheet
