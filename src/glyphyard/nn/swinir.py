"""SwinIR (Liang et al., 2021) with progressive refinement: low resolution in, high resolution out.

Shapes: B images, C channels, H×W low-resolution pixels, D features, G windows of M = w² cells, s the scale.

Without refinement and pyramid it is the published network: with the published "medium" sizes (D 180, 6 × 6 layers, 6
heads, w 8, MLP 2, ×4) it has the published 11,900,199 parameters, with the seed's sizes (D 144, 8 × 3, 8 heads, w 6,
MLP 6) 9,955,667 for ×2 and 10,103,379 for ×4. Refinement adds 73,856 for each doubling, the pyramid what its file says.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from glyphyard.nn.attention import Mlp, attended
from glyphyard.nn.character_pyramid import CharacterPyramid
from glyphyard.nn.windows import PLAIN, READING, SHIFTED, Cells, SizedCells, padded, relative_places
from glyphyard.recipe.super_resolution import SwinIRConfig

LEAK = 0.2


class WindowAttention(nn.Module):
    """Cells of a window look at each other, with a learnt bias for each relative place."""

    places: Tensor
    scale: Tensor

    def __init__(self, dim: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads, self.share = heads, dim // heads
        self.projections, self.mix = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros((2 * side - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.register_buffer("places", relative_places(side), persistent=False)
        scale = torch.cat([torch.full((dim,), self.share**-0.5), torch.ones(2 * dim)])
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, x_BGMC: Tensor, mask_G1MM: Tensor | None) -> Tensor:
        """Return (B,G,M,C); `mask_G1MM` is added where windows were shifted."""
        windows, cells = int(x_BGMC.shape[1]), int(x_BGMC.shape[2])
        # Queries are scaled in their weights, of which there are fewer.
        weight, bias = self.projections.weight * self.scale[:, None], self.projections.bias * self.scale
        split = functional.linear(x_BGMC, weight, bias).reshape(-1, windows, cells, 3, self.heads, self.share)
        queries, keys, values = split.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)  # each (B, G·heads, M, share), copied once
        bias_HMM = self.bias[self.places].permute(2, 0, 1)
        added_GHMM = bias_HMM.expand(windows, -1, -1, -1) if mask_G1MM is None else bias_HMM + mask_G1MM
        found = attended(queries, keys, values, added_GHMM.flatten(0, 1)[None])
        found = found.reshape(-1, windows, self.heads, cells, self.share).transpose(2, 3)
        return self.mix(found.reshape(-1, windows, cells, self.heads * self.share))


class SwinLayer(nn.Module):
    """Norm → window attention → +; norm → MLP → +; every second layer looks through windows shifted by half a side."""

    def __init__(self, config: SwinIRConfig, shifted: bool) -> None:
        super().__init__()
        dim = config.embed_dim
        self.side, self.order = config.window, SHIFTED if shifted else PLAIN
        self.norm1, self.attention = nn.LayerNorm(dim), WindowAttention(dim, config.heads, config.window)
        self.norm2, self.mlp = nn.LayerNorm(dim), Mlp(dim, config.mlp_ratio)

    def forward(self, x_BNC: Tensor, mask_G1MM: Tensor) -> Tensor:
        """Return (B,N,C), cells in the layer's order before and after."""
        _, cells, dim = (int(length) for length in x_BNC.shape)
        x = x_BNC.reshape(-1, cells // self.side**2, self.side**2, dim)
        x = x + self.attention(self.norm1(x), mask_G1MM if self.order == SHIFTED else None)
        x = x + self.mlp(self.norm2(x))
        return x.reshape(-1, cells, dim)


class ResidualSwinBlock(nn.Module):
    """Swin layers → 3×3 convolution → + (RSTB)."""

    def __init__(self, config: SwinIRConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SwinLayer(config, shifted=i % 2 == 1) for i in range(config.blocks))
        self.convolution = nn.Conv2d(config.embed_dim, config.embed_dim, 3, padding=1)

    def forward(self, x_BHWC: Tensor, cells: Cells) -> Tensor:
        """Return (B,H,W,C)."""
        _, height, width, dim = (int(length) for length in x_BHWC.shape)
        y, order = x_BHWC.reshape(-1, height * width, dim), READING
        # All that a layer does goes cell by cell or window by window, so that cells are moved once a layer: cutting windows,
        # joining them and rolling the image would be four times.
        for layer in self.layers:
            assert isinstance(layer, SwinLayer)
            y, order = layer(cells.move(y, order, layer.order), cells.mask_G1MM), layer.order
        y = cells.move(y, order, READING).reshape(-1, height, width, dim)
        return x_BHWC + to_last(self.convolution(to_first(y)))


class Doubling(nn.Module):
    """Convolution → PixelShuffle to twice the size → residual convolutions that clean up (progressive refinement)."""

    def __init__(self, features: int, refine: bool) -> None:
        super().__init__()
        self.enlarge = nn.Sequential(nn.Conv2d(features, 4 * features, 3, padding=1), nn.PixelShuffle(2))
        self.refine = nn.Sequential(*_refinement(features)) if refine else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B,C,2H,2W)."""
        x_BCHW = self.enlarge(x_BCHW)
        return x_BCHW if self.refine is None else x_BCHW + self.refine(x_BCHW)


def _refinement(features: int) -> list[nn.Module]:
    convolutions = [nn.Conv2d(features, features, 3, padding=1) for _ in range(2)]
    return [convolutions[0], nn.LeakyReLU(LEAK), convolutions[1]]


class SwinIR(nn.Module):
    """Images (B,C,H,W) in [0, 1] → (B,C,sH,sW), about [0, 1] (not clamped). Any size of at least a window on each side."""

    def __init__(self, config: SwinIRConfig, channels: int, height: int, width: int) -> None:
        super().__init__()
        dim, features = config.embed_dim, config.features
        self.scale, self.side, self.skip = config.scale, config.window, config.skip
        self.cells = SizedCells(config.window, height, width)
        self.shallow = nn.Conv2d(channels, dim, 3, padding=1)
        self.norm_in, self.norm_out = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(ResidualSwinBlock(config) for _ in range(config.rstb))
        self.deep = nn.Conv2d(dim, dim, 3, padding=1)
        self.pyramid = CharacterPyramid(dim, config.pyramid) if config.pyramid else None
        self.narrow = nn.Sequential(nn.Conv2d(dim, features, 3, padding=1), nn.LeakyReLU())
        self.doublings = nn.Sequential(*(Doubling(features, config.refine) for _ in range(int(log2(config.scale)))))
        self.last = nn.Conv2d(features, channels, 3, padding=1)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        if config.skip:  # begin as plain enlargement
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return (B,C,sH,sW)."""
        height, width = int(images_BCHW.shape[2]), int(images_BCHW.shape[3])
        full = padded(height, width, self.side)
        x = functional.pad(images_BCHW - 0.5, (0, full[1] - width, 0, full[0] - height), mode="reflect")
        shallow = self.shallow(x.contiguous(memory_format=torch.channels_last))
        deep, cells = self.norm_in(to_last(shallow)), self.cells(*full)
        for block in self.blocks:
            deep = block(deep, cells)
        features = self.deep(to_first(self.norm_out(deep))) + shallow
        if self.pyramid is not None:
            features = self.pyramid(features)
        drawn = self.last(self.doublings(self.narrow(features)))[:, :, : height * self.scale, : width * self.scale]
        return drawn + (self.enlarged(images_BCHW) if self.skip else 0.5)

    def enlarged(self, images_BCHW: Tensor) -> Tensor:
        """Return the images at high resolution without a network; linear, which every device's runtime has."""
        return functional.interpolate(images_BCHW, scale_factor=self.scale, mode="bilinear", align_corners=False)


def to_last(x_BCHW: Tensor) -> Tensor:
    """Return (B,H,W,C): a view, where the maps are laid out channels last."""
    return x_BCHW.permute(0, 2, 3, 1)


def to_first(x_BHWC: Tensor) -> Tensor:
    """Return (B,C,H,W): a view, laid out channels last."""
    return x_BHWC.permute(0, 3, 1, 2)
