"""Augmentation of whole batches as tensors, on the device they lie on; every image and every epoch draws anew.

B images, C channels, H×W pixels. One resampling for all geometry, one multiply-add for brightness, contrast and inversion.
What a recipe sets to 0 costs nothing. All draws come from one generator on the CPU, where the few numbers of an image are
worked out (a tensor operation costs more than its arithmetic there); pixels are only touched on their device. Switching
one operation on or off does not change the draws of the others.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from glyphyard.recipe.augmentation import AugmentationConfig

DRAWS = 20  # for each image: 8 of geometry, 4 of light, one each of blur, resolution and noise, 5 of the erased box
LEAST_SIGMA_PX = 0.25  # a narrower Gaussian takes less than a tenth of a grey level from a neighbour
DOWNSCALE_GROUPS = 4  # resampling needs one size for all; a batch is shuffled, so neighbours are strangers
ERASE_HEIGHT, ERASE_WIDTH = (0.2, 0.5), (0.02, 0.12)  # shares of the crop: a scratch or a screw, never a character


def to_float(images_u8: Tensor) -> Tensor:
    """Turn (B,H,W) or (B,H,W,3) uint8 into (B,C,H,W) float32 in [0, 1], unchanged otherwise."""
    planes = images_u8.unsqueeze(1) if images_u8.ndim == 3 else images_u8.permute(0, 3, 1, 2)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def augment(images_u8: Tensor, config: AugmentationConfig, dice: Generator) -> Tensor:
    """Turn (B,H,W) or (B,H,W,3) uint8 into augmented (B,C,H,W) float32 in [0, 1]; `dice` is a generator on the CPU."""
    return augment_traced(images_u8, config, dice)[0]


def augment_traced(images_u8: Tensor, config: AugmentationConfig, dice: Generator) -> tuple[Tensor, np.ndarray | None]:
    """Do the same and say where pixels came from, for outlines to follow (`follow`): see `_origins`; None if nothing moved."""
    images = to_float(images_u8)
    drawn = torch.rand((DRAWS, len(images)), generator=dice).numpy()
    signed = drawn * 2 - 1
    colours = _fork(dice) if config.saturation else None
    origins = _origins(config, signed[:8], *images.shape[-2:])
    if origins is not None:
        images = _move(images, origins, bool(config.perspective))
    images = _relight(images, config, signed[8:11], drawn[11])
    if config.blur_sigma_px:
        images = blur(images, config.blur_sigma_px * drawn[12], config.blur_sigma_px)
    if config.downscale:
        images = _lose_resolution(images, config.downscale * drawn[13])
    if config.noise_std:
        images = _add_noise(images, config.noise_std * drawn[14], dice)
    if config.erase:
        images = _erase(images, config.erase, drawn[15:])
    if colours is not None and images.shape[1] == 3:
        images = _recolour(images, config.saturation, colours)
    return images, origins


def follow(points_BK2: np.ndarray, origins_B33: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return where points (B,K,2), x and y in pixels, stand after the move that `augment_traced` told of."""
    size = np.array([width, height], np.float64)
    units = np.concatenate([points_BK2 / size * 2 - 1, np.ones((*points_BK2.shape[:2], 1))], axis=2)
    moved = units @ np.linalg.inv(origins_B33.astype(np.float64)).transpose(0, 2, 1)
    return (moved[..., :2] / moved[..., 2:] + 1) / 2 * size


def _origins(config: AugmentationConfig, signed_8B: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """Return where each pixel comes from as a homography (B,3,3) in grid_sample's units (±1 is the border); None: nothing moves.

    Rotation, shear, scale, shift and tilt are one map; angles are true in pixels.
    """
    if not (config.rotate_deg or config.shear_deg or config.scale or config.translate or config.perspective):
        return None
    angle, tan = signed_8B[0] * math.radians(config.rotate_deg), np.tan(signed_8B[1] * math.radians(config.shear_deg))
    scale_x, scale_y = 1 + signed_8B[2:4] * config.scale
    shift_x, shift_y = signed_8B[4:6] * 2 * config.translate
    cos, sin, aspect = np.cos(angle), np.sin(angle), width / height
    tilt_x, tilt_y = _tilt(config.perspective, signed_8B[6:8])
    rows = (
        (cos * scale_x, (tan * cos - sin) * scale_y / aspect, shift_x),
        (sin * scale_x * aspect, (tan * sin + cos) * scale_y, shift_y),
        (tilt_x, tilt_y, np.ones_like(angle)),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def _move(images: Tensor, origins_B33: np.ndarray, tilted: bool) -> Tensor:
    """Resample once by a homography; what comes in from outside repeats the border."""
    height, width = images.shape[-2:]
    # The planes lie one after the other: writing them interleaved, as grid_sample sees them, takes several times as long.
    planes = images.new_empty(2, len(images), height, width)
    for plane, row in zip(planes, (0, 1), strict=True):
        _ramp(plane, *origins_B33[:, row].T)
    if tilted:
        depth = torch.empty_like(planes[0])
        _ramp(depth, *origins_B33[:, 2].T)
        planes /= depth
    return functional.grid_sample(images, planes.permute(1, 2, 3, 0), mode="bilinear", padding_mode="border", align_corners=False)


def _ramp(out_BHW: Tensor, along_x_B: np.ndarray, along_y_B: np.ndarray, offset_B: np.ndarray) -> None:
    """Write along_x · x + along_y · y + offset at each pixel's centre: a row plus a column."""
    height, width = out_BHW.shape[-2:]
    row_BW = along_x_B[:, None] * _centres(width)
    column_BH = along_y_B[:, None] * _centres(height) + offset_B[:, None]
    torch.add(_on(row_BW, out_BHW).unsqueeze(1), _on(column_BH, out_BHW).unsqueeze(2), out=out_BHW)


def _centres(pixels: int) -> np.ndarray:
    return (np.arange(pixels, dtype=np.float32) * 2 + 1) / pixels - 1


def _tilt(perspective: float, signed_2B: np.ndarray) -> np.ndarray:
    # 1 / (1 - |a| - |b|) is how far the farthest corner moves out; 2 * perspective of the half side is the limit.
    return signed_2B * (perspective / (1 + 2 * perspective))


def _relight(images: Tensor, config: AugmentationConfig, signed_3B: np.ndarray, chance_B: np.ndarray) -> Tensor:
    """Brightness (a factor), contrast (around the image's mean), inversion, then gamma; clipped to [0, 1]."""
    if config.brightness or config.contrast or config.invert:
        gain, contrast = 1 + signed_3B[0] * config.brightness, 1 + signed_3B[1] * config.contrast
        sign = np.where(chance_B < config.invert, -1, 1)
        factor, of_mean, offset = sign * contrast * gain, sign * (1 - contrast) * gain, (1 - sign) / 2
        offset_B = _on(of_mean, images) * images.mean((1, 2, 3)) + _on(offset, images)
        images = (images * _each(_on(factor, images))).add_(_each(offset_B)).clamp_(0, 1)
    if config.gamma:
        images = images.clamp(min=1e-4).pow_(_each(_on(1 + signed_3B[2] * config.gamma, images)))
    return images


def _fork(dice: Generator) -> Generator:
    """Return dice of their own that stand where `dice` do: what they draw depends on nothing that is drawn from `dice` later."""
    own = Generator()
    own.set_state(dice.get_state())
    return own


def _recolour(images: Tensor, limit: float, dice: Generator) -> Tensor:
    """Draw colours towards or away from grey, last of all."""
    strength_B = 1 + (torch.rand(len(images), generator=dice) * 2 - 1).to(images.device) * limit
    return torch.lerp(images.mean(1, keepdim=True).expand_as(images), images, _each(strength_B)).clamp_(0, 1)


def blur(images: Tensor, sigma_px_B: np.ndarray, limit_px: float) -> Tensor:
    """Blur each image by its own Gaussian: shifted copies, weighted and added, down and then across.

    A grouped convolution does the same and takes several times as long on a CPU.
    """
    wide = np.flatnonzero(sigma_px_B > LEAST_SIGMA_PX)
    if not len(wide):
        return images
    index = torch.from_numpy(wide).to(images.device)
    return images.index_copy_(0, index, _blurred(images.index_select(0, index), sigma_px_B[wide], limit_px))


def _blurred(images: Tensor, sigma_px_B: np.ndarray, limit_px: float) -> Tensor:
    radius = max(1, math.ceil(3 * limit_px - 0.5))  # 3 sigma and half a pixel: beyond it lie 3 in 1000 of the weight
    taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma_px_B[:, None]) ** 2)
    taps /= 2 * taps.sum(1, keepdims=True) - 1  # all but the middle one count twice
    weights = _on(taps.T.copy(), images)
    for axis, padding in ((2, (0, 0, radius, radius)), (3, (radius, radius, 0, 0))):
        images = _weigh_neighbours(functional.pad(images, padding, mode="replicate"), weights, axis)
    return images


def _weigh_neighbours(padded: Tensor, weights: Tensor, axis: int) -> Tensor:
    radius = len(weights) - 1
    size = padded.shape[axis] - 2 * radius
    out = padded.narrow(axis, radius, size) * _each(weights[0])
    for far in range(1, radius + 1):
        both = padded.narrow(axis, radius - far, size) + padded.narrow(axis, radius + far, size)
        out += both.mul_(_each(weights[far]))
    return out


def _lose_resolution(images: Tensor, lost_B: np.ndarray) -> Tensor:
    """Scale each group of images down and back up; a group shares the loss of its first image."""
    groups, at = [], 0
    for group in images.chunk(DOWNSCALE_GROUPS):
        size = [max(4, round(side * (1 - float(lost_B[at])))) for side in images.shape[-2:]]
        small = functional.interpolate(group, size, mode="bilinear", antialias=True)
        groups.append(functional.interpolate(small, images.shape[-2:], mode="bilinear"))
        at += len(group)
    return torch.cat(groups)


def _add_noise(images: Tensor, std_B: np.ndarray, dice: Generator) -> Tensor:
    if images.device.type != "cpu":
        dice = torch.Generator(images.device).manual_seed(int(torch.randint(2**62, (1,), generator=dice)))
    noise = torch.randn(images.shape, generator=dice, device=images.device)
    return noise.mul_(_each(_on(std_B, images))).add_(images).clamp_(0, 1)


def _erase(images: Tensor, chance: float, drawn_5B: np.ndarray) -> Tensor:
    """Paint a small grey box over some images: dice for whether, where (x, y), how large and how grey."""
    height, width = images.shape[-2:]
    whether, at_x, at_y, size, grey = drawn_5B
    half_h = (ERASE_HEIGHT[0] + size * (ERASE_HEIGHT[1] - ERASE_HEIGHT[0])) / 2
    half_w = (ERASE_WIDTH[0] + (1 - size) * (ERASE_WIDTH[1] - ERASE_WIDTH[0])) / 2
    inside_x = np.abs((_centres(width) + 1) / 2 - at_x[:, None]) < half_w[:, None]
    inside_y = np.abs((_centres(height) + 1) / 2 - at_y[:, None]) < (half_h * (whether < chance))[:, None]
    box = torch.from_numpy(inside_y[:, None, :, None] & inside_x[:, None, None, :]).to(images.device)
    return torch.where(box, _each(_on(grey, images)), images)


def _on(values: np.ndarray, images: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(images.device, non_blocking=True)


def _each(values_B: Tensor) -> Tensor:
    return values_B.view(-1, 1, 1, 1)
