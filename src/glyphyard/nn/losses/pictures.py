"""How alike two pictures are. Shapes: B images, C channels, H×W pixels, values in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

C1, C2 = 0.01**2, 0.03**2  # of the range 1, as published
SIGMA_PX = 1.5
LEAST_ERROR = 1e-10  # mean square; equal pictures have 100 dB instead of infinity


def l1_loss(x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
    """Return the mean absolute difference."""
    return functional.l1_loss(x_BCHW.float(), y_BCHW.float())


def ssim(x_BCHW: Tensor, y_BCHW: Tensor, window: int = 11, sigma_px: float = SIGMA_PX) -> Tensor:
    """Return each pair's structural similarity (B,) in [-1, 1], differentiable (Wang et al., 2004).

    Statistics are weighed by a Gaussian over an odd `window` of pixels and taken where the window lies inside the picture.
    """
    x, y, channels = x_BCHW.float(), y_BCHW.float(), x_BCHW.shape[1]
    weights = _gaussian(window, sigma_px).to(x)
    # One pass over all five maps; a Gaussian falls apart into a column and a row.
    maps = torch.cat([x, y, x * x, y * y, x * y], 1)
    down, across = (weights.reshape(shape).expand(5 * channels, 1, *shape) for shape in ((window, 1), (1, window)))
    # Variances are small differences of means, of which half precision leaves nothing: autocast has to keep away.
    with torch.autocast(x.device.type, enabled=False):
        blurred = functional.conv2d(functional.conv2d(maps, down, groups=5 * channels), across, groups=5 * channels)
    mean_x, mean_y, xx, yy, xy = blurred.chunk(5, 1)
    variances, covariance = xx - mean_x.square() + yy - mean_y.square(), xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    return (luminance * (2 * covariance + C2) / (variances + C2)).mean((1, 2, 3))


def ssim_loss(x_BCHW: Tensor, y_BCHW: Tensor, window: int = 11) -> Tensor:
    """Return the mean of (1 - SSIM) / 2, in [0, 1]."""
    return (1 - ssim(x_BCHW, y_BCHW, window).mean()) / 2


def psnr(x_BCHW: Tensor, y_BCHW: Tensor) -> Tensor:
    """Return each pair's peak signal-to-noise ratio (B,) in dB; 100 for equal ones."""
    error = (x_BCHW.float() - y_BCHW.float()).square().mean((1, 2, 3))
    return -10 * error.clamp_min(LEAST_ERROR).log10()


def _gaussian(window: int, sigma_px: float) -> Tensor:
    places = torch.arange(window) - (window - 1) / 2
    weights = torch.exp(-(places**2) / (2 * sigma_px**2))
    return weights / weights.sum()
