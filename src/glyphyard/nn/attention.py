"""Multi-head attention whose keys and values can be made once and asked many times, and the ViT layer that is built of it.

Shapes: N images, Q queries, S things to look at, D features, H heads of E = D / H features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

KeysValues = tuple[Tensor, Tensor]  # each (N,H,S,E)


def attended(queries: Tensor, keys: Tensor, values: Tensor, added: Tensor | None = None) -> Tensor:
    """Return softmax(queries keysᵀ + added) values; the queries come scaled.

    scaled_dot_product_attention, but for two cases of learning on a CPU that are faster written out. In bfloat16 its backward pass is
    slow: a layer took 3.5 times as long with 64 cells of 128 features, 2.1 times with 128 of 384. With a bias that wants a gradient it
    scales twice and looks for rows without a choice, 1.4 times.
    """
    slow = added is not None or queries.dtype == torch.bfloat16
    if queries.device.type != "cpu" or not torch.is_grad_enabled() or not slow:
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=added, scale=1.0)
    scores = queries @ keys.transpose(-2, -1)
    if added is not None:
        scores = scores.add_(added.to(scores.dtype))  # numbers of two kinds would be added one by one
    return scores.softmax(-1) @ values


class Attention(nn.Module):
    """Queries look at keys and values (Vaswani et al., 2017); projections lie in one matrix: queries, keys, values."""

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.share, self.dropout = heads, dim // heads, dropout
        self.projections = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)

    def look_up(self, things_NSD: Tensor) -> KeysValues:
        """Return the keys and values of what can be looked at."""
        dim = self.heads * self.share
        both = functional.linear(things_NSD, self.projections.weight[dim:], self.projections.bias[dim:])
        keys, values = both.chunk(2, -1)
        return self._apart(keys), self._apart(values)

    def forward(self, queries_NQD: Tensor, seen: KeysValues, allowed: Tensor | None = None) -> Tensor:
        """Return what each query finds, (N,Q,D); `allowed` is true where a query may look, broadcast to (N,H,Q,S)."""
        dim = self.heads * self.share
        queries = functional.linear(queries_NQD, self.projections.weight[:dim], self.projections.bias[:dim])
        return self._attend(self._apart(queries), *seen, allowed)

    def to_itself(self, x_NSD: Tensor) -> Tensor:
        """Return what each of S things finds among all of them, (N,S,D), from one projection."""
        return self._attend(*map(self._apart, self.projections(x_NSD).chunk(3, -1)))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if allowed is None and not dropout:
            found = attended(queries * self.share**-0.5, keys, values)
        else:
            found = functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=allowed, dropout_p=dropout, scale=self.share**-0.5
            )
        return self.mix(found.transpose(1, 2).flatten(2))

    def _apart(self, x_NSD: Tensor) -> Tensor:
        # Not `unflatten`: a traced one keeps the batch of the example for ever. Everything but the batch is to be a constant.
        return x_NSD.reshape(-1, int(x_NSD.shape[1]), self.heads, self.share).transpose(1, 2)


class Mlp(nn.Sequential):
    """Widen, GELU, narrow."""

    def __init__(self, dim: int, ratio: float, dropout: float = 0.0) -> None:
        middle = int(dim * ratio)
        super().__init__(nn.Linear(dim, middle), nn.GELU(), nn.Dropout(dropout), nn.Linear(middle, dim))


class EncoderLayer(nn.Module):
    """Norm → attention → +; norm → MLP → + (Dosovitskiy et al., 2021)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim, eps=1e-6), Attention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps=1e-6), Mlp(dim, mlp_ratio)

    def forward(self, x_NSD: Tensor) -> Tensor:
        """Return (N,S,D)."""
        x_NSD = x_NSD + self.attention.to_itself(self.norm1(x_NSD))
        return x_NSD + self.mlp(self.norm2(x_NSD))


class Stem(nn.Sequential):
    """3×3 convolutions that step down to one feature vector a patch (Xiao et al., 2021); a patch's sides are powers of two.

    From random weights it learns to read from tens of thousands of crops, where cut patches take many times as many.
    """

    def __init__(self, channels: int, patch: tuple[int, int], dim: int) -> None:
        halvings = tuple(side.bit_length() - 1 for side in patch)
        parts: list[nn.Module] = []
        before = channels
        for left in reversed(range(max(halvings))):
            (down, along), width = (2 if max(halvings) - left <= each else 1 for each in halvings), max(dim >> left, 1)
            parts += [nn.Conv2d(before, width, 3, (down, along), 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        super().__init__(*parts, nn.Conv2d(before, dim, 1))

    def start(self) -> None:
        """Draw the convolutions' weights by their fan-in: `start_small` is for what has no norm behind it."""
        for part in self:
            if isinstance(part, nn.Conv2d):
                part.reset_parameters()


class Vit(nn.Module):
    """Images (N,C,H,W) in [0, 1] → one feature vector a patch, (N,S,D), in reading order; no class token."""

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        patch: tuple[int, int],
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        convolutions: bool = False,
    ) -> None:
        super().__init__()
        self.patches = Stem(channels, patch, dim) if convolutions else nn.Conv2d(channels, dim, patch, patch)
        # Cells come out one after another, each with its features side by side, as the layers want them: a step is a tenth faster.
        self.patches.to(memory_format=torch.channels_last)
        self.grid = (size[0] // patch[0], size[1] // patch[1])
        self.places = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], dim))
        self.layers = nn.Sequential(*(EncoderLayer(dim, heads, mlp_ratio) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return (N,S,D)."""
        patches_NSD = self.patches((images_NCHW - 0.5) / 0.5).flatten(2).transpose(1, 2)
        return self.norm(self.layers(patches_NSD + self.places))


def start_small(module: nn.Module) -> None:
    """Draw matrices from a narrow truncated normal and set biases to zero, as ViTs are begun; norms stay as they are."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if isinstance(bias := getattr(part, "bias", None), Tensor):
                nn.init.zeros_(bias)
    for part in module.modules():
        if isinstance(part, Stem):
            part.start()
