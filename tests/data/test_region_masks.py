"""Masks cover what their polygons enclose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from glyphyard.data.region_audit import audit_pages, polygon_area
from glyphyard.data.region_masks import polygon_mask, region_masks, sheet_of
from glyphyard.data.sources.page import Page, Region


@pytest.mark.parametrize(
    "outline",
    [[(3, 4), (30, 4), (30, 25), (3, 25)], [(20, 2), (38, 30), (2, 30)], [(20, 2), (38, 20), (20, 38), (2, 20)]],
)
def test_a_mask_has_about_the_area_of_its_polygon(outline):
    points = np.array(outline, float)
    mask = polygon_mask(points, 40, 40)
    edge = np.abs(points - np.roll(points, -1, axis=0)).sum()
    assert abs(mask.sum() - polygon_area(points)) < 0.75 * edge
    assert mask[20, 20] or mask[12, 12]
    assert not polygon_mask(points + 100, 40, 40).any()


def test_a_page_has_a_mask_for_each_region_and_a_picture(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((50, 90, 3), 200, np.uint8))
    regions = (Region("A", (5, 5, 20, 40), 2), Region("B", (40, 10, 60, 10, 60, 40, 40, 40), 3))
    (page,), _ = audit_pages([Page("plates", "a.png", str(path), "a.csv", regions)])
    masks = region_masks(page)
    assert masks.shape == (2, 50, 90)
    for mask, (x1, y1, x2, y2) in zip(masks, page.boxes.astype(int), strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert abs(rows[0] - y1) <= 1
        assert abs(rows[-1] + 1 - y2) <= 1
        assert abs(columns[0] - x1) <= 1
        assert abs(columns[-1] + 1 - x2) <= 1
    sheet = sheet_of([page])
    assert sheet.dtype == np.uint8
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 4
