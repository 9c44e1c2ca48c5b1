"""PSNR and SSIM against values worked out by hand, and their limits."""

from __future__ import annotations

import numpy as np
import pytest

from glyphyard.core.image_metrics import BEST_PSNR, psnr, ssim


def test_psnr_of_a_known_error() -> None:
    one = np.full((8, 8, 3), 100, np.uint8)
    assert psnr(one, one + 10) == pytest.approx(10 * np.log10(255**2 / 100))
    assert psnr(one, one) == BEST_PSNR


def test_ssim_is_one_for_equal_images_and_falls_with_noise() -> None:
    dice = np.random.default_rng(0)
    image = np.repeat(np.repeat(dice.integers(0, 256, (6, 12), dtype=np.uint8), 4, 0), 4, 1)
    some = np.clip(image + dice.normal(0, 15, image.shape), 0, 255).astype(np.uint8)
    much = np.clip(image + dice.normal(0, 80, image.shape), 0, 255).astype(np.uint8)
    assert ssim(image, image) == pytest.approx(1.0)
    assert ssim(image, much) < ssim(image, some) < 1


def test_ssim_of_two_flat_images_is_their_luminance_term() -> None:
    a, b = np.full((20, 20), 50, np.uint8), np.full((20, 20), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 50 * 150 + c1) / (50**2 + 150**2 + c1), rel=1e-6)
    assert ssim(a[:5, :5], b[:5, :5]) == pytest.approx(ssim(a, b), rel=1e-6)  # smaller than the window
