"""The deep trunk: handwriting's size, a column for each four pixels, batch norm after every convolution."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glyphyard.nn.crnn import Crnn
from glyphyard.recipe.model import CrnnConfig

TINY = CrnnConfig.model_validate(
    {"trunk": "deep", "channels": [4, 6, 8, 10], "blocks": [1, 1, 2, 1], "features": 16, "hidden": 16}
)


def test_deep_means_the_guides_recurrence_unless_it_is_stated() -> None:
    deep = CrnnConfig.model_validate({"trunk": "deep"})
    assert (deep.layers, deep.dropout, deep.channels) == (3, 0.3, (64, 128, 256, 512))
    assert CrnnConfig.model_validate({"trunk": "deep", "layers": 1}).layers == 1
    assert CrnnConfig().layers == 2
    assert CrnnConfig.model_validate(TINY.model_dump(mode="json")) == TINY


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 64, 256), (3, 64, 256), (1, 32, 128), (1, 48, 200)])
def test_one_time_step_for_each_four_pixels(channels: int, height: int, width: int) -> None:
    model = Crnn(TINY, channels, height, num_classes=11).eval()
    assert model(torch.rand(2, channels, height, width)).shape == (TINY.time_steps(width), 2, 11)


def test_every_convolution_is_normalised_and_the_lstm_is_deep() -> None:
    model = Crnn(TINY, 1, 64, 11)
    kinds = [type(module) for module in model.trunk.modules()]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.BatchNorm2d) == 1 + sum(TINY.blocks)
    assert (model.context.num_layers, model.context.bidirectional, model.context.dropout) == (3, True, 0.3)


def test_it_computes_channels_last() -> None:
    model, layouts = Crnn(TINY, 1, 64, 11), []
    for module in model.trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda m, i, out: layouts.append(out.is_contiguous(memory_format=torch.channels_last)))
    model(torch.rand(2, 1, 64, 256))
    assert layouts
    assert all(layouts)


def test_a_gradient_reaches_every_weight() -> None:
    model = Crnn(TINY, 1, 64, 11)
    model(torch.rand(2, 1, 64, 128))[:, :, 3].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.ndim > 1)
