from __future__ import annotations

import pytest
import torch

from glyphyard.data.augment import augment, to_float
from glyphyard.recipe.augmentation import AugmentationConfig

OFF = AugmentationConfig(rotate_deg=0.0, brightness=0.0, contrast=0.0, blur_sigma_px=0.0)
EACH = {
    "rotate_deg": 10.0, "shear_deg": 10.0, "scale": 0.2, "translate": 0.1, "perspective": 0.2, "brightness": 0.5, "contrast": 0.5, "gamma": 0.5,
    "blur_sigma_px": 1.5, "noise_std": 0.1, "downscale": 0.7, "erase": 1.0, "invert": 1.0,
}  # fmt: skip


def config(**changes: float) -> AugmentationConfig:
    return OFF.model_copy(update=changes)


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 8, channels: int = 1) -> torch.Tensor:
    shape = (count, 32, 128) if channels == 1 else (count, 32, 128, channels)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=dice(0))


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_happens_when_everything_is_off(channels: int) -> None:
    raw = images(channels=channels)
    out = augment(raw, OFF, dice())
    assert torch.equal(out, to_float(raw))
    assert out.shape == (8, channels, 32, 128)
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_operation_changes_images_repeatably_and_keeps_the_contract(name: str, channels: int) -> None:
    raw, wanted = images(channels=channels), config(**{name: EACH[name]})
    first, again, other = (augment(raw, wanted, dice(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (name == "invert")  # at a chance of 1 nothing is left to draw
    assert not torch.allclose(first, to_float(raw), atol=1e-3)
    assert first.shape == (8, channels, 32, 128)
    assert first.dtype == torch.float32
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.parametrize("name", [n for n in EACH if n not in ("noise_std", "invert")])
def test_images_of_a_batch_draw_apart(name: str) -> None:
    one = images(1).expand(32, -1, -1).contiguous()
    out = augment(one, config(**{name: EACH[name]}), dice())
    assert not torch.equal(out[0], out[-1])


@pytest.mark.parametrize("name", ["rotate_deg", "shear_deg", "scale", "translate", "perspective", "blur_sigma_px", "downscale"])
def test_a_flat_image_stays_flat_because_the_border_is_repeated(name: str) -> None:
    flat = torch.full((4, 32, 128), 77, dtype=torch.uint8)
    torch.testing.assert_close(augment(flat, config(**{name: EACH[name]}), dice()), to_float(flat), atol=1e-5, rtol=0)


def test_one_operation_does_not_change_the_draws_of_another() -> None:
    raw = torch.full((8, 32, 128), 100, dtype=torch.uint8)
    alone, both = (augment(raw, config(brightness=0.4, **more), dice()) for more in ({}, {"rotate_deg": 8.0}))
    torch.testing.assert_close(alone, both, atol=1e-5, rtol=0)


def test_rotation_turns_pixels_not_the_squeezed_square() -> None:
    bar = torch.zeros(64, 32, 128, dtype=torch.uint8)
    bar[:, 14:18] = 255
    turned = augment(bar, config(rotate_deg=5.0), dice())[:, 0]
    rows = torch.arange(32.0)[None, :, None]
    centre = (turned * rows).sum(1) / turned.sum(1).clamp(min=1e-6)
    rise = (centre[:, 104] - centre[:, 24]) / 80  # of the bar's middle, far from the corners
    limit = torch.tan(torch.deg2rad(torch.tensor(5.0)))
    assert 0.7 * limit < rise.abs().max() < 1.1 * limit


def test_no_corner_moves_farther_than_perspective_allows() -> None:
    ramp = torch.linspace(0, 255, 128).round().to(torch.uint8).expand(256, 32, 128).contiguous()
    moved = augment(ramp, config(perspective=0.1), dice())[:, 0] - to_float(ramp)[:, 0]
    assert 0.05 < moved.abs().max() < 0.1 + 0.02


def test_brightness_and_contrast_stay_in_their_bounds() -> None:
    grey = torch.full((256, 32, 128), 128, dtype=torch.uint8)
    factors = augment(grey, config(brightness=0.2), dice()).mean((1, 2, 3)) / (128 / 255)
    assert 0.8 <= factors.min() < 0.85
    assert 1.15 < factors.max() <= 1.2001
    contrasted = augment(images(256), config(contrast=0.15), dice())
    spread = contrasted.std((1, 2, 3)) / to_float(images(256)).std((1, 2, 3))
    assert spread.min() >= 0.84
    assert spread.max() < 1.16


def test_chances_are_kept() -> None:
    grey = torch.full((600, 8, 16), 10, dtype=torch.uint8)
    for name in ("erase", "invert"):
        changed = (augment(grey, config(**{name: 0.3}), dice()) != to_float(grey)).flatten(1).any(1).float().mean()
        assert 0.2 < changed < 0.4


def test_blur_removes_noise_and_keeps_the_mean() -> None:
    raw = images(64)
    out = augment(raw, config(blur_sigma_px=2.0), dice())
    assert (out.std((1, 2, 3)) <= to_float(raw).std((1, 2, 3)) + 1e-4).all()
    torch.testing.assert_close(out.mean((1, 2, 3)), to_float(raw).mean((1, 2, 3)), atol=0.02, rtol=0)
