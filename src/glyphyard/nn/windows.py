"""Swin's shifted windows: who may look at whom, worked out once for a size and kept (Liu et al., 2021).

Shapes: B images, H×W cells, w the window's side, M = w² cells of a window, G windows of an image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def to_windows(x_BHWC: Tensor, side: int) -> Tensor:
    """Cut (B,H,W,C) into windows in reading order, (B,G,M,C); sides are multiples of the window's."""
    _, height, width, channels = x_BHWC.shape
    cut = x_BHWC.reshape(-1, height // side, side, width // side, side, channels)
    return cut.transpose(2, 3).reshape(-1, height // side * (width // side), side * side, channels)


def from_windows(x_BGMC: Tensor, side: int, height: int, width: int) -> Tensor:
    """Put windows back together: the inverse of `to_windows`."""
    joined = x_BGMC.reshape(-1, height // side, width // side, side, side, x_BGMC.shape[-1])
    return joined.transpose(2, 3).reshape(-1, height, width, x_BGMC.shape[-1])


def relative_places(side: int) -> Tensor:
    """Return which entry of the bias table each pair of a window's cells uses, (M,M) int64 in [0, (2w-1)²)."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    down, across = (flat[:, None] - flat[None, :] + side - 1 for flat in (rows.flatten(), columns.flatten()))
    return down * (2 * side - 1) + across


# Not the published -100: its exponential is a denormal float, with which a CPU multiplies many times slower. This one gives
# an exact 0, and half precision can still hold it.
NEVER = -1e4


def shift_mask(height: int, width: int, side: int, shift: int) -> Tensor:
    """Return 0 where two cells of a shifted window were neighbours before the shift, `NEVER` where not, (G,1,M,M)."""
    edges_H, edges_W = (_bands(length, side, shift) for length in (height, width))
    bands_GM = to_windows((edges_H[:, None] * 3 + edges_W[None, :])[None, :, :, None], side)[0, :, :, 0]
    return torch.where(bands_GM[:, :, None] == bands_GM[:, None, :], 0.0, NEVER)[:, None]


def _bands(length: int, side: int, shift: int) -> Tensor:
    """Number the three stretches of a shifted side: untouched windows, the cut one's near part, what came round."""
    place = torch.arange(length)
    return (place >= length - side).long() + (place >= length - shift).long()


class ShiftMasks(nn.Module):
    """The masks of shifted windows: the training size's is a buffer, other sizes' are made when first met and kept."""

    def __init__(self, side: int, height: int, width: int) -> None:
        super().__init__()
        self.side, self.size = side, padded(height, width, side)
        self.register_buffer("mask", shift_mask(*self.size, side, side // 2), persistent=False)
        self.others: dict[tuple[int, int, str], Tensor] = {}

    def forward(self, height: int, width: int) -> Tensor:
        """Return the mask (G,1,M,M) of a padded size in cells."""
        if (height, width) == self.size:
            return self.mask
        key = (height, width, str(self.mask.device))
        if key not in self.others:
            self.others[key] = shift_mask(height, width, self.side, self.side // 2).to(self.mask)
        return self.others[key]


def padded(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the next multiples of the window's side."""
    return -(-height // side) * side, -(-width // side) * side
