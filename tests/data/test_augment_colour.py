"""Saturation moves colours towards and away from grey, leaves grey alone, and changes no other draw."""

from __future__ import annotations

import torch

from glyphyard.data.augment import augment
from glyphyard.recipe.augmentation import AugmentationConfig

STILL = {"rotate_deg": 0.0, "brightness": 0.0, "contrast": 0.0, "blur_sigma_px": 0.0}


def augmented(images: torch.Tensor, **fields: float) -> torch.Tensor:
    return augment(images, AugmentationConfig(**(STILL | fields)), torch.Generator().manual_seed(3))


def test_colours_move_along_the_line_to_their_grey() -> None:
    red = torch.zeros(64, 8, 8, 3, dtype=torch.uint8)
    red[..., 0], red[..., 1:] = 180, 90
    found = augmented(red, saturation=0.8)
    spread = (found[:, 0] - found[:, 1]).mean((1, 2)) * 255 / 90
    assert 0.15 < spread.min() < 0.5 < 1.5 < spread.max() < 1.85
    torch.testing.assert_close(found.mean(1), torch.full((64, 8, 8), 120 / 255))


def test_grey_stays_grey_and_one_channel_stays_as_it_is() -> None:
    grey = torch.randint(0, 256, (8, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(augmented(grey, saturation=1.0), augmented(grey))
    three = grey[..., None].repeat(1, 1, 1, 3)
    torch.testing.assert_close(augmented(three, saturation=1.0), augmented(three))


def test_other_draws_are_the_same_with_it_and_without() -> None:
    grey = torch.randint(0, 256, (8, 16, 16, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).repeat(1, 1, 1, 3)
    torch.testing.assert_close(augmented(grey, rotate_deg=5.0, saturation=0.5), augmented(grey, rotate_deg=5.0))
