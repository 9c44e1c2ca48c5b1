"""Swin's shifted windows: who may look at whom, worked out once for a size and kept (Liu et al., 2021).

Shapes: B images, H×W cells, N = H·W, w the window's side, M = w² cells of a window, G windows of an image, C features.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


def to_windows(x_BHWC: Tensor, side: int) -> Tensor:
    """Cut (B,H,W,C) into windows in reading order, (B,G,M,C); sides are multiples of the window's."""
    _, height, width, channels = x_BHWC.shape
    cut = x_BHWC.reshape(-1, height // side, side, width // side, side, channels)
    return cut.transpose(2, 3).reshape(-1, height // side * (width // side), side * side, channels)


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


# The orders that cells stand in: row by row, window by window, window by window of the shifted image.
READING, PLAIN, SHIFTED = range(3)


def ways(height: int, width: int, side: int, shift: int) -> Tensor:
    """Return the indices that bring cells from one order into another, (3,3,H·W) int64: [here, there] of the three orders."""
    cells = torch.arange(height * width).reshape(1, height, width, 1)
    windows = (to_windows(image, side).flatten() for image in (cells, cells.roll((-shift, -shift), (1, 2))))
    orders = torch.stack([cells.flatten(), *windows])
    return torch.stack([inverse[orders] for inverse in orders.argsort(-1)])


class Cells(NamedTuple):
    """What an image size says of its cells: who may look at whom where windows are shifted, and the ways between orders."""

    mask_G1MM: Tensor
    ways_33N: Tensor

    def move(self, x_BNC: Tensor, here: int, there: int) -> Tensor:
        """Return the cells in another order."""
        if here == there:
            return x_BNC
        if not torch.is_grad_enabled():
            return x_BNC.index_select(1, self.ways_33N[here, there])
        moved: Tensor = _Moved.apply(x_BNC, self.ways_33N[here, there], self.ways_33N[there, here])  # type: ignore[no-untyped-call]
        return moved


class _Moved(torch.autograd.Function):
    """The gradient goes the way back; index_select's own would add it up cell by cell, as if a cell could come twice."""

    @staticmethod
    def forward(context: Any, x_BNC: Tensor, there_N: Tensor, back_N: Tensor) -> Tensor:
        context.save_for_backward(back_N)
        return x_BNC.index_select(1, there_N)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (back_N,) = context.saved_tensors
        return gradients[0].index_select(1, back_N), None, None


class SizedCells(nn.Module):
    """The cells of any size: the training size's are buffers, other sizes' are worked out when first met and kept."""

    mask: Tensor
    ways: Tensor

    def __init__(self, side: int, height: int, width: int) -> None:
        super().__init__()
        self.side, self.size = side, padded(height, width, side)
        mask, ways = self._made(*self.size)
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("ways", ways, persistent=False)
        self.others: dict[tuple[int, int, str], Cells] = {}

    def forward(self, height: int, width: int) -> Cells:
        """Return the cells of a padded size."""
        if (height, width) == self.size:
            return Cells(self.mask, self.ways)
        key = (height, width, str(self.mask.device))
        if key not in self.others:
            mask, ways = self._made(height, width)
            self.others[key] = Cells(mask.to(self.mask), ways.to(self.ways))
        return self.others[key]

    def _made(self, height: int, width: int) -> Cells:
        shift = self.side // 2
        return Cells(shift_mask(height, width, self.side, shift), ways(height, width, self.side, shift))


def padded(height: int, width: int, side: int) -> tuple[int, int]:
    """Return the next multiples of the window's side."""
    return -(-height // side) * side, -(-width // side) * side
