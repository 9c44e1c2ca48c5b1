"""Augmentation of whole batches as tensors, on the device they lie on; every image and every epoch draws anew.

B images, C channels, H×W pixels. One grid for all geometry, one multiply-add for brightness, contrast and inversion.
What a recipe sets to 0 costs nothing. All draws come from one generator, and switching one operation on or off
does not change the draws of the others.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from glyphyard.recipe.augmentation import AugmentationConfig

DOWNSCALE_GROUPS = 4  # resampling needs one size for all; a batch is shuffled, so neighbours are strangers
ERASE_HEIGHT, ERASE_WIDTH = (0.2, 0.5), (0.02, 0.12)  # shares of the crop: a scratch or a screw, never a character


def to_float(images_u8: Tensor) -> Tensor:
    """Turn (B,H,W) or (B,H,W,3) uint8 into (B,C,H,W) float32 in [0, 1], unchanged otherwise."""
    planes = images_u8.unsqueeze(1) if images_u8.ndim == 3 else images_u8.permute(0, 3, 1, 2)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def augment(images_u8: Tensor, config: AugmentationConfig, dice: Generator) -> Tensor:
    """Turn (B,H,W) or (B,H,W,3) uint8 into augmented (B,C,H,W) float32 in [0, 1]; the same dice, the same batch."""
    images = to_float(images_u8)
    dice_20 = torch.rand((20, len(images)), generator=dice, device=dice.device).to(images.device)
    signed = dice_20 * 2 - 1
    images = _move(images, config, signed[:8])
    images = _relight(images, config, signed[8:11], dice_20[11])
    images = _blur(images, config.blur_sigma_px * dice_20[12]) if config.blur_sigma_px else images
    images = _lose_resolution(images, config.downscale * dice_20[13]) if config.downscale else images
    images = _add_noise(images, config.noise_std * dice_20[14], dice) if config.noise_std else images
    images = _erase(images, config.erase, dice_20[15:20]) if config.erase else images
    return images


def _move(images: Tensor, config: AugmentationConfig, signed_8B: Tensor) -> Tensor:
    """Rotate, shear, scale, shift and tilt in one resampling; what comes in from outside repeats the border."""
    if not (config.rotate_deg or config.shear_deg or config.scale or config.translate or config.perspective):
        return images
    height, width = images.shape[-2:]
    angle, shear = signed_8B[0] * math.radians(config.rotate_deg), signed_8B[1] * math.radians(config.shear_deg)
    scale_x, scale_y = 1 + signed_8B[2] * config.scale, 1 + signed_8B[3] * config.scale
    cos, sin, tan, aspect = angle.cos(), angle.sin(), shear.tan(), width / height
    # Rows of [x, y, 1] → source position, in grid_sample's units (±1 is the border); angles are true in pixels.
    x_row = torch.stack([cos * scale_x, (tan * cos - sin) * scale_y / aspect, signed_8B[4] * 2 * config.translate], -1)
    y_row = torch.stack([sin * scale_x * aspect, (tan * sin + cos) * scale_y, signed_8B[5] * 2 * config.translate], -1)
    if not config.perspective:
        grid = functional.affine_grid(torch.stack([x_row, y_row], 1), list(images.shape), align_corners=False)
    else:
        grid = _tilted_grid(torch.stack([x_row, y_row, _tilt(config.perspective, signed_8B[6:8])], 1), height, width)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _tilt(perspective: float, signed_2B: Tensor) -> Tensor:
    # 1 / (1 - |a| - |b|) is how far the farthest corner moves out; 2 * perspective of the half side is the limit.
    limit = perspective / (1 + 2 * perspective)
    return torch.cat([signed_2B * limit, torch.ones_like(signed_2B[:1])]).T


def _tilted_grid(homography_B33: Tensor, height: int, width: int) -> Tensor:
    x = (torch.arange(width, device=homography_B33.device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=homography_B33.device) * 2 + 1) / height - 1
    points = torch.stack([*(axis.reshape(-1) for axis in torch.meshgrid(x, y, indexing="xy")), torch.ones(height * width, device=x.device)])
    moved = homography_B33 @ points  # (B, 3, H*W)
    return (moved[:, :2] / moved[:, 2:]).transpose(1, 2).reshape(-1, height, width, 2)


def _relight(images: Tensor, config: AugmentationConfig, signed_3B: Tensor, chance_B: Tensor) -> Tensor:
    """Brightness (a factor), contrast (around the image's mean), inversion, then gamma; clipped to [0, 1]."""
    if config.brightness or config.contrast or config.invert:
        gain = 1 + signed_3B[0] * config.brightness
        contrast = 1 + signed_3B[1] * config.contrast
        factor, offset = contrast * gain, (1 - contrast) * gain * images.mean((1, 2, 3))
        inverted = chance_B < config.invert
        factor, offset = torch.where(inverted, -factor, factor), torch.where(inverted, 1 - offset, offset)
        images = torch.addcmul(_each(offset), images, _each(factor)).clamp_(0, 1)
    if config.gamma:
        # A pixel of exactly 0 has no gradient that anyone needs, but pow on a float is happier above it.
        images = images.clamp(min=1e-4).pow_(_each(1 + signed_3B[2] * config.gamma))
    return images


def _blur(images: Tensor, sigma_px_B: Tensor) -> Tensor:
    """Blur each image by its own Gaussian, as two one-dimensional filters."""
    count, channels, height, width = images.shape
    radius = max(1, math.ceil(3 * float(sigma_px_B.max())))
    reach = torch.arange(-radius, radius + 1, device=images.device)
    taps = torch.exp(-0.5 * (reach / sigma_px_B.clamp(min=0.05)[:, None]) ** 2)
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None, None]
    planes = functional.pad(images, (radius, radius, radius, radius), mode="replicate").view(1, count * channels, height + 2 * radius, width + 2 * radius)
    across = functional.conv2d(planes, taps, groups=count * channels)
    return functional.conv2d(across, taps.transpose(2, 3), groups=count * channels).view_as(images)


def _lose_resolution(images: Tensor, lost_B: Tensor) -> Tensor:
    """Scale each group of images down and back up; a group shares the loss of its first image."""
    groups = []
    for group, lost in zip(images.chunk(DOWNSCALE_GROUPS), lost_B.chunk(DOWNSCALE_GROUPS), strict=True):
        size = [max(4, round(side * (1 - float(lost[0])))) for side in images.shape[-2:]]
        small = functional.interpolate(group, size, mode="bilinear", antialias=True)
        groups.append(functional.interpolate(small, images.shape[-2:], mode="bilinear"))
    return torch.cat(groups)


def _add_noise(images: Tensor, std_B: Tensor, dice: Generator) -> Tensor:
    noise = torch.randn(images.shape, generator=dice, device=dice.device).to(images.device)
    return noise.mul_(_each(std_B)).add_(images).clamp_(0, 1)


def _erase(images: Tensor, chance: float, dice_5B: Tensor) -> Tensor:
    """Paint a small grey box over some images: dice for whether, where (x, y), how large and how grey."""
    height, width = images.shape[-2:]
    whether, at_x, at_y, size, grey = dice_5B
    half_h = (ERASE_HEIGHT[0] + size * (ERASE_HEIGHT[1] - ERASE_HEIGHT[0])) / 2
    half_w = (ERASE_WIDTH[0] + (1 - size) * (ERASE_WIDTH[1] - ERASE_WIDTH[0])) / 2
    x = (torch.arange(width, device=images.device) + 0.5) / width
    y = (torch.arange(height, device=images.device) + 0.5) / height
    inside_x, inside_y = (x - at_x[:, None]).abs() < half_w[:, None], (y - at_y[:, None]).abs() < half_h[:, None]
    box = inside_y[:, None, :, None] & inside_x[:, None, None, :] & _each(whether < chance)
    return torch.where(box, _each(grey), images)


def _each(values_B: Tensor) -> Tensor:
    return values_B.view(-1, 1, 1, 1)
