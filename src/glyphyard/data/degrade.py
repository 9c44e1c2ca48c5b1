"""Low-resolution sides of whole batches, made from high-resolution ones: noise, blur, down-sampling, JPEG.

B images, C channels, H×W pixels of the high side, h×w of the low. What happens to a crop depends on its id, the epoch and the
seed, not on the batch it comes in: how much, its strengths, and with which noise. Noise is drawn on the CPU, image by image; all
arithmetic runs on the images' device.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from glyphyard.data.augment import blur, to_float
from glyphyard.data.sampling import generator_for
from glyphyard.recipe.dataset import LowResolutionConfig

HELD_OUT_EPOCH = 0  # held-out rows are degraded once and for all; training epochs count from 1
DRAWS = 3  # for each image: the bound of SSIM, the blur, the JPEG quality
WINDOW_PX = 7  # of the SSIM that says when there is enough noise
C1, C2 = 0.01**2, 0.03**2


def degrade(images_u8: Tensor, ids_B: Tensor, epoch: int, seed: int, config: LowResolutionConfig) -> Tensor:
    """Turn (B,H,W) or (B,H,W,3) uint8 into (B,h,w) or (B,h,w,3) uint8, `config.scale` times smaller, on the same device."""
    small = degrade_planes(to_float(images_u8), ids_B, epoch, seed, config)
    return small[:, 0] if images_u8.ndim == 3 else small.permute(0, 2, 3, 1).contiguous()


def degrade_planes(
    images: Tensor, ids_B: Tensor, epoch: int, seed: int, config: LowResolutionConfig, strengths_of: int | None = None
) -> Tensor:
    """Turn (B,C,H,W) float in [0, 1] into (B,C,h,w) uint8, on the same device.

    `ids_B`: what the rows are called in the dataset, int64 on the CPU. `strengths_of`: the epoch that the strengths are of, where
    it is not the noise's. In full precision wherever it is called from: held-out rows are made outside of any autocast, and
    training rows have to be made alike.
    """
    drawn, noise, clean_B = _drawn(images.shape[1:], ids_B, epoch, seed, config)
    if strengths_of is not None and strengths_of != epoch:
        drawn, _, clean_B = _drawn(images.shape[1:], ids_B, strengths_of, seed, config)
    with torch.autocast(images.device.type, enabled=False):
        return _degraded(images.float(), drawn, noise, clean_B, config)


def _drawn(
    shape: torch.Size, ids_B: Tensor, epoch: int, seed: int, config: LowResolutionConfig
) -> tuple[np.ndarray, Tensor | None, np.ndarray]:
    """Draw an epoch's strengths (DRAWS,B) in [0, 1), noise (B,*shape) if there is any, and which crops are only shrunk (B,)."""
    dice = [generator_for("degrade", seed, epoch, i) for i in ids_B.tolist()]
    drawn = torch.stack([torch.rand(DRAWS, generator=d) for d in dice], 1).numpy()
    noise = torch.stack([torch.randn(shape, generator=d) for d in dice]) if config.until_ssim[0] < 1 else None
    # Drawn last and only where it is asked for: the others' draws are then the same with clean crops among them as without.
    if not config.clean:
        return drawn, noise, np.zeros(len(dice), bool)
    return drawn, noise, np.array([float(torch.rand((), generator=d)) < config.clean for d in dice])


def _degraded(
    images: Tensor, drawn: np.ndarray, noise: Tensor | None, clean_B: np.ndarray, config: LowResolutionConfig
) -> Tensor:
    low, high = config.until_ssim
    if noise is not None:
        bound_B = torch.from_numpy(np.where(clean_B, 1.0, low + drawn[0] * (high - low))).to(images)
        images = _until_unlike(images, noise.to(images.device), bound_B, config)
    if config.blur_sigma_px:
        if noise is None:  # then this is still the high side itself, and `blur` writes into what it is given
            images = images.clone()
        images = blur(images.contiguous(), config.blur_sigma_px * drawn[1] * ~clean_B, config.blur_sigma_px)
    size = (images.shape[-2] // config.scale, images.shape[-1] // config.scale)
    small = functional.interpolate(images, size, mode=config.shrink, antialias=config.shrink == "bicubic")
    whole = small.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    if config.jpeg_quality and not clean_B.all():
        used = torch.from_numpy(~clean_B).to(whole.device)
        whole[used] = _through_jpeg(whole[used], drawn[2][~clean_B], config.jpeg_quality)
    return whole


def _until_unlike(images: Tensor, noise: Tensor, bound_B: Tensor, config: LowResolutionConfig) -> Tensor:
    """Add noise until each image's SSIM with what it was, both in grey, is below its bound."""
    additions = additions_needed(images, noise, bound_B, config)
    return noisy(images, noise, torch.where(bound_B < 1, additions, torch.zeros_like(additions)), config.noise_std)


def additions_needed(images: Tensor, noise: Tensor, bound_B: Tensor, config: LowResolutionConfig) -> Tensor:
    """Return the least number of additions (B,), at most `most_additions`, that brings each (B,C,H,W) image below its bound.

    k additions of independent noise are one of √k times the deviation, and SSIM falls with k: so k is found by bisection.
    """
    grey, few = images.mean(1, keepdim=True), torch.ones(len(images), device=images.device)
    many = torch.full_like(few, config.most_additions)
    while bool((few < many).any()):
        middle = ((few + many) / 2).floor()
        # Of what is made: colours are cut off at black and white before they are grey, which takes some of the noise away.
        made = noisy(images, noise, middle, config.noise_std).mean(1, keepdim=True)
        enough = grey_ssim(grey, made) < bound_B
        few, many = torch.where(enough, few, (middle + 1).minimum(many)), torch.where(enough, middle, many)
    return many


def noisy(images: Tensor, noise: Tensor, additions_B: Tensor, std: float) -> Tensor:
    return (images + noise * (additions_B.sqrt() * std).view(-1, 1, 1, 1)).clamp_(0, 1)


def grey_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the SSIM (B,) of grey images (B,1,H,W) in [0, 1], with a square window: it only has to say when to stop."""
    down, across = (_window_means(length, min(WINDOW_PX, *x.shape[-2:]), x.device) for length in x.shape[-2:])
    # As products with band matrices: a CPU takes an eighth of the time that pooling does.
    means = down.T @ (torch.cat([x, y, x * x, y * y, x * y], 1) @ across)
    of_x, of_y, of_xx, of_yy, of_xy = means.unbind(1)
    common = of_xy - of_x * of_y
    spread = of_xx - of_x**2 + of_yy - of_y**2
    alike = (2 * of_x * of_y + C1) * (2 * common + C2) / ((of_x**2 + of_y**2 + C1) * (spread + C2))
    return alike.mean((1, 2))


@cache
def _window_means(length: int, window: int, device: torch.device) -> Tensor:
    """Return the matrix (length, length - window + 1) whose columns each average a window."""
    distance = torch.arange(length)[:, None] - torch.arange(length - window + 1)
    return (((distance >= 0) & (distance < window)) / window).to(device)


def _through_jpeg(images_u8: Tensor, drawn_B: np.ndarray, quality: tuple[int, int]) -> Tensor:
    """Compress each small image as a camera does and decode it again."""
    low, high = quality
    qualities = (low + drawn_B * (high - low)).round().astype(int)
    colour = cv2.IMREAD_GRAYSCALE if images_u8.shape[1] == 1 else cv2.IMREAD_COLOR
    small = images_u8.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    decoded = [_compressed(image, int(q), colour) for image, q in zip(small, qualities, strict=True)]
    planes = torch.from_numpy(np.stack(decoded)).view(len(decoded), *images_u8.shape[2:], -1).permute(0, 3, 1, 2)
    return planes.contiguous().to(images_u8.device)


def _compressed(image: np.ndarray, quality: int, colour: int) -> np.ndarray:
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], colour)
    assert decoded is not None  # it was encoded just now
    return decoded
