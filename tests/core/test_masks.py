"""A small map of probabilities covers the box it fills, at any size and anywhere; an outline encloses its mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from glyphyard.core.masks import outline_of, paste_mask
from glyphyard.data.region_masks import polygon_mask


def blob(dice: np.random.Generator) -> np.ndarray:
    """A soft ellipse in a map of 28×28."""
    y, x = np.mgrid[:28, :28]
    a, b = dice.uniform(7, 12, 2)
    return np.clip(1.3 - (y - 13.5) ** 2 / a**2 - (x - 13.5) ** 2 / b**2, 0, 1).astype(np.float32)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_it_is_about_what_torchvision_pastes():
    dice = np.random.default_rng(0)
    for _ in range(40):
        (x1, y1), (w, h) = dice.uniform(0, 50, 2), dice.uniform(20, 70, 2)
        box, soft = np.array([x1, y1, x1 + w, y1 + h]), blob(dice)
        theirs = paste_masks_in_image(torch.tensor(soft)[None, None], torch.tensor(box)[None].float(), (128, 128), 1)[0, 0] > 0.5
        assert overlap(paste_mask(soft, box, 128, 128), theirs.numpy()) > 0.88  # theirs moves a box to whole pixels


@pytest.mark.parametrize("box", [(3.3, 4.6, 9.1, 16.2), (10.0, 10.0, 90.5, 70.5), (-8.0, -5.0, 20.0, 30.0), (90, 70, 130, 120)])
def test_a_full_map_fills_its_box_and_nothing_else(box):
    mask = paste_mask(np.ones((28, 28), np.float32), np.array(box), 80, 100)
    x1, y1, x2, y2 = box
    inside = np.zeros((80, 100), bool)
    inside[max(round(y1), 0) : max(round(y2), 0), max(round(x1), 0) : max(round(x2), 0)] = True
    edge = 2 * ((x2 - x1) + (y2 - y1))
    assert (mask ^ inside).sum() <= edge
    assert mask.sum() >= inside.sum() - edge


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (200, 5, 220, 9), (9, 9, 3, 3)])
def test_a_box_of_nothing_has_no_mask(box):
    assert not paste_mask(np.ones((28, 28), np.float32), np.array(box, float), 40, 60).any()


def test_an_outline_gives_its_mask_back():
    mask = polygon_mask(np.array([(10, 8), (40, 12), (35, 44), (12, 40)]), 60, 60)
    mask[50:52, 50:52] = True  # a crumb
    outline = outline_of(mask)
    again = polygon_mask(outline, 60, 60)
    mask[50:52, 50:52] = False
    assert overlap(again, mask) > 0.97
    assert outline_of(np.zeros((5, 5), bool)).shape == (0, 2)
