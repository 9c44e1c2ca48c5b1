"""What happens to a crop depends on its id and the epoch, not on the batch it comes in."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.data.augment import to_float
from glyphyard.data.degrade import additions_needed, degrade, degrade_planes, grey_ssim, noisy
from glyphyard.data.synth.plate import render_plate
from glyphyard.recipe.dataset import LowResolutionConfig
from glyphyard.recipe.load import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"

HARSH = LowResolutionConfig(scale=2, until_ssim=(0.3, 0.3), noise_std=0.02, jpeg_quality=None, blur_sigma_px=0.0)


def plates(count: int, channels: int = 3) -> torch.Tensor:
    """Return crops with edges in them, (N,16,48[,3]) uint8."""
    dice = torch.Generator().manual_seed(3)
    blocks = torch.randint(0, 256, (count, 4, 12, channels), generator=dice, dtype=torch.uint8)
    images = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return images if channels == 3 else images[..., 0]


@settings(max_examples=10)
@given(st.permutations(range(5)), st.integers(1, 5))
def test_a_crop_is_degraded_alike_in_any_batch(order: list[int], size: int) -> None:
    images, config = plates(5), LowResolutionConfig(scale=4, until_ssim=(0.2, 0.8))
    ids = torch.arange(100, 105)
    whole = degrade(images, ids, 3, 7, config)
    chosen = torch.tensor(order[:size])
    part = degrade(images[chosen], ids[chosen], 3, 7, config)
    assert (part.int() - whole[chosen].int()).abs().max() <= 1  # rounding of a float sum in another order
    assert torch.equal(degrade(images, ids, 3, 7, config), whole)


def test_another_epoch_seed_or_id_gives_another_side() -> None:
    images = plates(1)
    one = degrade(images, torch.tensor([1]), 1, 7, HARSH)
    assert not torch.equal(one, degrade(images, torch.tensor([1]), 2, 7, HARSH))
    assert not torch.equal(one, degrade(images, torch.tensor([1]), 1, 8, HARSH))
    assert not torch.equal(one, degrade(images, torch.tensor([2]), 1, 7, HARSH))


def test_a_row_that_stays_as_badly_degraded_gets_other_noise_of_the_same_strength() -> None:
    images, ids = plates(32).permute(0, 3, 1, 2).float() / 255, torch.arange(32)
    config = LowResolutionConfig(
        scale=2, until_ssim=(0.3, 0.9), noise_std=0.02, jpeg_quality=(30, 90), blur_sigma_px=1.5, clean=0.3
    )

    def made(epoch: int, strengths_of: int | None, config: LowResolutionConfig = config) -> torch.Tensor:
        return degrade_planes(images, ids, epoch, 7, config, strengths_of).float()

    first, again, other = made(1, None), made(5, 1), made(5, None)
    assert torch.equal(made(1, 1), first)
    clean_B = (first == made(1, None, config.model_copy(update={"clean": 1.0}))).flatten(1).all(1)
    same_B = (first == again).flatten(1).all(1)
    assert torch.equal(same_B, clean_B), "what is only shrunk stays so, all others have other noise"
    assert 0 < int(clean_B.sum()) < 32
    whole = made(1, None, config.model_copy(update={"clean": 1.0}))
    harm = [(side - whole).abs().mean((1, 2, 3))[~clean_B] for side in (first, again, other)]
    assert torch.corrcoef(torch.stack(harm))[0, 1] > 0.95 > torch.corrcoef(torch.stack(harm))[0, 2]
    calm = config.model_copy(update={"until_ssim": (1, 1)})
    assert torch.equal(made(1, None, calm), made(5, 1, calm)), "without noise there is nothing that could be another"


@pytest.mark.parametrize(("scale", "channels"), [(2, 3), (4, 3), (2, 1)])
def test_shapes_and_types(scale: int, channels: int) -> None:
    made = degrade(plates(2, channels), torch.tensor([0, 1]), 0, 0, LowResolutionConfig(scale=scale))
    assert made.dtype == torch.uint8
    assert made.shape == ((2, 16 // scale, 48 // scale, 3) if channels == 3 else (2, 16 // scale, 48 // scale))


def test_clean_crops_are_shrunk_and_the_others_stay_what_they_were() -> None:
    images, ids = plates(64), torch.arange(64)
    config = LowResolutionConfig(scale=2, until_ssim=(0.3, 0.6), jpeg_quality=(40, 60), blur_sigma_px=1.0)
    noisy_ones = degrade(images, ids, 1, 7, config)
    clean_ones = degrade(images, ids, 1, 7, config.model_copy(update={"clean": 1.0}))
    mixed = degrade(images, ids, 1, 7, config.model_copy(update={"clean": 0.5}))
    shrunk = degrade(images, ids, 1, 7, LowResolutionConfig(scale=2, until_ssim=(1, 1), jpeg_quality=None, blur_sigma_px=0.0))
    assert torch.equal(clean_ones, shrunk)
    are_clean = (mixed == clean_ones).flatten(1).all(1)
    are_noisy = (mixed.int() - noisy_ones.int()).abs().flatten(1).amax(1) <= 1
    assert (are_clean ^ are_noisy).all()
    assert 16 < int(are_clean.sum()) < 48


def test_area_averages_what_it_shrinks() -> None:
    calm = LowResolutionConfig(scale=2, until_ssim=(1, 1), jpeg_quality=None, blur_sigma_px=0.0, shrink="area")
    images = plates(3)
    means = images.float().view(3, 8, 2, 24, 2, 3).mean((2, 4))
    assert (degrade(images, torch.arange(3), 1, 7, calm).float() - means).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_is_added_until_ssim_falls_and_no_longer(channels: int) -> None:
    images = to_float(plates(6, channels))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    config, bound = LowResolutionConfig(), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])

    def alike(additions: torch.Tensor) -> torch.Tensor:
        made = noisy(images, noise, additions, config.noise_std)
        return grey_ssim(images.mean(1, keepdim=True), made.mean(1, keepdim=True))

    needed = additions_needed(images, noise, bound, config)
    assert (alike(needed) < bound).all()
    assert ((alike(needed - 1) >= bound) | (needed == 1)).all()
    assert needed[0] > needed[-1] > 1


def test_a_bound_that_is_not_met_within_the_most_additions_leaves_it_at_those() -> None:
    images = to_float(plates(4))
    noise, few = torch.randn(images.shape), LowResolutionConfig(most_additions=3)
    assert (additions_needed(images, noise, torch.full((4,), 0.1), few) == 3).all()


def test_drawn_plates_reach_the_bound_of_the_recipe_of_the_seed() -> None:
    recipe = load_recipe(RECIPES / "lpsr_progressive.yaml")
    config, image = recipe.dataset.low_resolution, recipe.dataset.image
    assert config is not None
    drawn = [render_plate(7, i, "brazil", difficulty=0.3).image_bgr for i in range(12)]
    images = to_float(torch.from_numpy(np.stack([cv2.resize(each, (image.width, image.height)) for each in drawn])))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    needed = additions_needed(images, noise, torch.full((12,), config.until_ssim[1]), config)
    assert (needed < config.most_additions).all()


def test_one_to_one_adds_no_noise() -> None:
    calm = LowResolutionConfig(scale=2, until_ssim=(1.0, 1.0), blur_sigma_px=0.0, jpeg_quality=None)
    images = plates(2)
    one, other = (degrade(images, torch.tensor([1, 2]), epoch, 0, calm) for epoch in (1, 2))
    assert torch.equal(one, other)


def test_the_high_side_stays_as_it_is_where_there_is_no_noise() -> None:
    high = to_float(plates(4))
    before = high.clone()
    degrade_planes(high, torch.arange(4), 1, 0, LowResolutionConfig(scale=2, until_ssim=(1, 1), blur_sigma_px=2.0))
    assert torch.equal(high, before)


def test_half_precision_around_it_changes_nothing() -> None:
    images, ids, config = plates(3), torch.arange(3), LowResolutionConfig(scale=2, until_ssim=(0.4, 0.9))
    expected = degrade(images, ids, 1, 7, config)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(degrade(images, ids, 1, 7, config), expected)
