from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glyphyard.nn.losses import l1_loss, psnr, ssim, ssim_loss


def straightforward_ssim(x: np.ndarray, y: np.ndarray, window: int, sigma: float) -> float:
    """Compute SSIM of two (H,W) pictures, window by window, as the paper's equations stand."""
    half = window // 2
    at = np.arange(window) - half
    weights = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    values = []
    for i in range(half, x.shape[0] - half):
        for j in range(half, x.shape[1] - half):
            a, b = (p[i - half : i + half + 1, j - half : j + half + 1] for p in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return float(np.mean(values))


def pictures(seed: int, channels: int, height: int = 13, width: int = 17) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    x = torch.rand(2, channels, height, width, generator=dice)
    return x, (x + 0.3 * torch.randn(x.shape, generator=dice)).clamp(0, 1)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 3]), st.sampled_from([3, 5, 11]))
def test_ssim_is_what_the_equations_say(seed: int, channels: int, window: int) -> None:
    x, y = pictures(seed, channels)
    found = ssim(x, y, window)
    for n in range(2):
        wanted = [straightforward_ssim(x[n, c].double().numpy(), y[n, c].double().numpy(), window, 1.5) for c in range(channels)]
        assert found[n].item() == pytest.approx(np.mean(wanted), abs=2e-4)
    torch.testing.assert_close(ssim(y, x, window), found)
    assert (found <= 1).all()
    assert (found >= -1).all()


def test_equal_pictures_are_as_alike_as_can_be() -> None:
    x, y = pictures(1, 3)
    torch.testing.assert_close(ssim(x, x), torch.ones(2))
    assert ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert ssim_loss(x, y) > 0.01
    assert psnr(x, x).tolist() == [100, 100]
    assert l1_loss(x, x) == 0


def test_climbing_ssims_gradient_makes_pictures_more_alike() -> None:
    x, y = pictures(2, 1)
    x.requires_grad_()
    before = ssim(x, y).mean()
    (gradient,) = torch.autograd.grad(before, x)
    assert ssim((x + 0.5 * gradient / gradient.abs().max() * 0.1).detach(), y).mean() > before


def test_psnr_counts_in_decibels() -> None:
    x = torch.full((2, 1, 4, 4), 0.5)
    torch.testing.assert_close(
        psnr(x, x + torch.tensor([0.1, 0.01])[:, None, None, None]), torch.tensor([20.0, 40.0]), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_half_precision_around_it_changes_nothing(noise: float) -> None:
    dice = torch.Generator().manual_seed(0)
    flat = torch.rand(2, 1, 2, 4, generator=dice).repeat_interleave(8, 2).repeat_interleave(8, 3)  # as smooth as a plate
    x = (flat + noise * torch.randn(flat.shape, generator=dice)).clamp(0, 1)
    expected = ssim(x, flat, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ssim(x, flat, 5), expected)
        assert torch.equal(ssim_loss(x, flat, 5), (1 - expected.mean()) / 2)
