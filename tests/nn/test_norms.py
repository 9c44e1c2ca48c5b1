"""The norm is GroupNorm until trained statistics come, then frozen batch norm; its state says which."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from glyphyard.nn.norms import GroupOrFrozenNorm, freeze_norms, groups_of


@pytest.mark.parametrize(("channels", "groups"), [(64, 16), (16, 4), (24, 4), (40, 8), (2048, 32)])
def test_groups_hold_four_channels_or_more(channels, groups):
    assert groups_of(channels) == groups


def test_it_is_either_norm_exactly_and_remembers_which():
    torch.manual_seed(1)
    images, trained = torch.randn(2, 16, 5, 7), FrozenBatchNorm2d(16)
    trained.load_state_dict(
        {"weight": torch.rand(16), "bias": torch.rand(16), "running_mean": torch.randn(16), "running_var": torch.rand(16) + 0.1}
    )
    norm = nn.Sequential(GroupOrFrozenNorm(16))
    assert torch.equal(norm(images), nn.GroupNorm(4, 16)(images))
    norm.load_state_dict({f"0.{k}": v for k, v in trained.state_dict().items()}, strict=False)
    freeze_norms(norm)
    torch.testing.assert_close(norm(images), trained(images))
    again = nn.Sequential(GroupOrFrozenNorm(16))
    again.load_state_dict(norm.state_dict())
    assert torch.equal(again(images), norm(images))
    fresh = GroupOrFrozenNorm(16).state_dict()
    again[0].load_state_dict(fresh)
    assert torch.equal(again(images), nn.GroupNorm(4, 16)(images))
