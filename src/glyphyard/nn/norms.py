"""A norm for batches of one or two: GroupNorm (Wu & He, 2018), or the frozen batch norm that trained weights come with."""

from __future__ import annotations

from math import gcd
from typing import Any

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class GroupOrFrozenNorm(nn.GroupNorm):
    """GroupNorm until `freeze`; from then on batch norm with the statistics that were loaded, which stay as they are.

    Which of the two stands in the weights themselves (`is_frozen`): a checkpoint needs nothing else to be read anywhere.
    """

    running_mean: Tensor
    running_var: Tensor
    is_frozen: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(groups_of(channels), channels, EPSILON)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("is_frozen", torch.zeros(()))
        self.frozen = False  # the same as a plain value: asking a GPU for it at every layer would wait for it

    def freeze(self) -> None:
        """Go over to batch norm."""
        self.is_frozen.fill_(1)
        self.frozen = True

    def forward(self, features_NCHW: Tensor) -> Tensor:
        """Return the features normalised, scaled and shifted."""
        if not self.frozen:
            return super().forward(features_NCHW)
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return features_NCHW * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.frozen = bool(self.is_frozen)


def groups_of(channels: int) -> int:
    """Return how many groups: at most 32, of at least 4 channels."""
    groups = gcd(channels, 32)
    while channels // groups < 4:
        groups //= 2
    return groups


def freeze_norms(network: nn.Module) -> None:
    """Let every norm of a network use the statistics that were loaded."""
    for module in network.modules():
        if isinstance(module, GroupOrFrozenNorm):
            module.freeze()
