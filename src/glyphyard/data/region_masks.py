"""Polygons as masks, and all regions of some pages as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from glyphyard.core.pixels import read_image
from glyphyard.data.region_audit import MarkedPage
from glyphyard.data.region_sheet import draw_regions, page_sheet

SHIFT = 4  # fractional bits of a corner's place


def polygon_mask(outline_P2: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the inside of a polygon as (H,W) bool, by the even-odd rule; a pixel counts if the outline touches its middle."""
    mask = np.zeros((height, width), np.uint8)
    # A pixel's middle is at half a pixel in the polygon's measure, and at a whole one in OpenCV's.
    fixed = np.round((np.asarray(outline_P2, np.float64) - 0.5) * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 1, cv2.LINE_8, SHIFT)
    return mask.astype(bool)


def region_masks(page: MarkedPage) -> np.ndarray:
    """Return the masks of a page's regions, (N,H,W) bool; a box is filled."""
    masks = np.zeros((len(page.labels), page.height, page.width), bool)
    for mask, box, polygon in zip(masks, page.boxes, page.polygons, strict=True):
        x1, y1, x2, y2 = box
        outline = polygon if polygon is not None else np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
        mask[...] = polygon_mask(outline, page.height, page.width)
    return masks


def sheet_of(pages: Sequence[MarkedPage], most: int = 24) -> np.ndarray:
    """Return one picture (H,W,3) BGR of pages evenly drawn from all, with their regions outlined; small images are enlarged."""
    chosen = [pages[k] for k in np.unique(np.linspace(0, len(pages) - 1, min(most, len(pages))).astype(int))]
    pictures, captions = [], []
    for page in chosen:
        image = read_image(Path(page.page.file or ""))
        factor = max(min(480 // image.shape[1], 600 // image.shape[0]), 1)
        large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        outlines = [None if p is None else p * factor for p in page.polygons]
        pictures.append(draw_regions(large, page.boxes * factor, page.labels, outlines))
        captions.append(f"{Path(page.page.path).name}: {len(page.labels)} regions")
    return page_sheet(pictures, captions)
