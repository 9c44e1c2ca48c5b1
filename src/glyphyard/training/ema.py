"""An exponential moving average of weights: what is validated and kept when a stage asks for it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """A shadow of `parts` whose weights follow theirs slowly; buffers (batch-norm statistics) are taken as they are."""

    def __init__(self, parts: nn.ModuleDict, decay: float) -> None:
        self.decay = decay
        self.parts = copy.deepcopy(parts).requires_grad_(False).eval()
        self.updates = 0

    @torch.no_grad()
    def update(self, parts: nn.ModuleDict) -> None:
        """Move the shadow towards `parts`; young averages move faster, or the first random weights would linger."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        shadow: list[Tensor] = list(self.parts.parameters())
        live: list[Tensor] = list(parts.parameters())
        torch._foreach_lerp_(shadow, live, 1 - decay)

    @torch.no_grad()
    def follow_buffers(self, parts: nn.ModuleDict) -> nn.ModuleDict:
        """Copy the buffers of `parts` and return the shadow, ready to be validated."""
        for shadow, live in zip(self.parts.buffers(), parts.buffers(), strict=True):
            shadow.copy_(live)
        return self.parts
