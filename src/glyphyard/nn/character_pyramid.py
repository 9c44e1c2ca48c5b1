"""Character Pyramid Attention: where strokes run, where the gaps between characters are, and which place this is.

Shapes: B images, D features, H×W cells, k a stroke's length, P places of the layout.

Each scale has, for D features: strokes 4 · k · D + 3 · D, mixing 3 · D · D + D, gaps 5 · D · D/4 + D/4 + D/4 + 1. The layout
has (P + 3) · D (P = 8 for `none`), joining S scales S · D · D + D. With D 144, k 7 and three scales that is 341,211 + 144 · P.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from glyphyard.core.layout import ANY, DIGIT, LAYOUTS, LETTER
from glyphyard.recipe.super_resolution import PyramidConfig

KINDS = (LETTER, DIGIT, ANY)
PLAIN_PLACES = 8  # of a plate whose layout nobody states


class Strokes(nn.Module):
    """How much of a horizontal, a vertical and a diagonal stroke runs through each cell, (B,3D,H,W); one detector a feature."""

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        self.horizontal = nn.Conv2d(dim, dim, (1, length), padding=(0, length // 2), groups=dim)
        self.vertical = nn.Conv2d(dim, dim, (length, 1), padding=(length // 2, 0), groups=dim)
        # Both diagonals of a square kernel; between them it is zero.
        self.falling, self.rising = (nn.Parameter(torch.randn(dim, length) / (2 * length) ** 0.5) for _ in range(2))
        self.diagonal_bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B,3D,H,W): horizontal, vertical, diagonal."""
        diagonal = functional.conv2d(
            x_BDHW, self.diagonal_kernel(), self.diagonal_bias, padding=self.falling.shape[1] // 2, groups=x_BDHW.shape[1]
        )
        return torch.cat([self.horizontal(x_BDHW), self.vertical(x_BDHW), diagonal], 1)

    def diagonal_kernel(self) -> Tensor:
        """Return (D,1,k,k)."""
        eye = torch.eye(self.falling.shape[1], device=self.falling.device)
        return (self.falling[:, None] * eye + self.rising[:, None] * eye.flip(1))[:, None]


class Gaps(nn.Module):
    """How sure it is, for each column, that it lies between characters, (B,1,1,W) in (0, 1)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.judge = nn.Sequential(nn.Conv1d(dim, dim // 4, 5, padding=2), nn.GELU(), nn.Conv1d(dim // 4, 1, 1))
        nn.init.constant_(self.judge[2].bias, -2.0)  # type: ignore[arg-type]  # begin with few gaps

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B,1,1,W)."""
        return self.judge(x_BDHW.mean(2)).sigmoid()[:, :, None]


class Places(nn.Module):
    """A code for each column: which place of the plate it lies in, and whether a letter or a digit stands there."""

    kinds: Tensor

    def __init__(self, dim: int, layout: str) -> None:
        super().__init__()
        slots = LAYOUTS[layout].slots or ANY * PLAIN_PLACES
        self.place = nn.Parameter(torch.randn(dim, len(slots)) * 0.02)
        self.kind = nn.Parameter(torch.randn(dim, len(KINDS)) * 0.02)
        self.register_buffer("kinds", torch.tensor([KINDS.index(kind) for kind in slots]), persistent=False)

    def forward(self, width: int) -> Tensor:
        """Return the codes of `width` columns, (1,D,1,W): places shared out evenly, blending into each other."""
        code_DP = self.place + self.kind[:, self.kinds]
        return functional.interpolate(code_DP[None, :, None], size=(1, width), mode="bilinear", align_corners=False)


class Level(nn.Module):
    """Attention at one scale: cells on strokes are let through, cells in gaps are not."""

    def __init__(self, dim: int, stroke: int) -> None:
        super().__init__()
        self.strokes, self.mix, self.gaps = Strokes(dim, stroke), nn.Conv2d(3 * dim, dim, 1), Gaps(dim)

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B,D,H,W)."""
        return x_BDHW * self.mix(self.strokes(x_BDHW)).sigmoid() * (1 - self.gaps(x_BDHW))


class CharacterPyramid(nn.Module):
    """Features (B,D,H,W) → the same with what each scale's attention lets through added; at first nothing is."""

    def __init__(self, dim: int, config: PyramidConfig) -> None:
        super().__init__()
        self.scales = config.scales
        self.places = Places(dim, config.layout)
        self.levels = nn.ModuleList(Level(dim, config.stroke) for _ in config.scales)
        self.join = nn.Conv2d(len(config.scales) * dim, dim, 1)
        nn.init.zeros_(self.join.weight)
        nn.init.zeros_(self.join.bias)  # type: ignore[arg-type]

    def forward(self, x_BDHW: Tensor) -> Tensor:
        """Return (B,D,H,W)."""
        height, width = int(x_BDHW.shape[2]), int(x_BDHW.shape[3])
        placed = x_BDHW + self.places(width)
        seen = []
        for scale, level in zip(self.scales, self.levels, strict=True):
            size = max(1, round(height * scale)), max(1, round(width * scale))
            seen.append(_resized(level(_resized(placed, size)), (height, width)))
        return x_BDHW + self.join(torch.cat(seen, 1))


def _resized(x_BDHW: Tensor, size: tuple[int, int]) -> Tensor:
    if x_BDHW.shape[2:] == size:
        return x_BDHW
    return functional.interpolate(x_BDHW, size=size, mode="bilinear", align_corners=False)
