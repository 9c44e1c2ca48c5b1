from __future__ import annotations

import pytest
import torch

from glyphyard.nn.blocks import InvertedResidual
from glyphyard.nn.crnn import Crnn, standardised
from glyphyard.recipe.model import CrnnConfig

TINY = CrnnConfig(channels=(4, 6, 8, 10), blocks=(1, 1, 1, 1), expansion=2, features=16, hidden=16, layers=1)


def test_the_default_network_has_the_size_of_the_guide() -> None:
    model = Crnn(CrnnConfig(), channels=1, height=32, num_classes=37)
    assert sum(p.numel() for p in model.parameters()) == 2_856_298
    assert model(torch.rand(2, 1, 32, 128)).shape == (32, 2, 37)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 32, 128), (3, 32, 128), (1, 48, 160), (1, 30, 64), (1, 64, 256)])
def test_one_time_step_for_each_four_pixels(channels: int, height: int, width: int) -> None:
    model = Crnn(TINY, channels, height, num_classes=11).eval()
    assert model(torch.rand(3, channels, height, width)).shape == (TINY.time_steps(width), 3, 11)


def test_each_step_is_a_distribution_in_float32_also_under_autocast() -> None:
    model = Crnn(TINY, 1, 32, 11).eval()
    with torch.autocast("cpu", torch.bfloat16):
        log_probs = model(torch.rand(2, 1, 32, 128))
    assert log_probs.dtype == torch.float32
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(32, 2))


def test_an_image_is_read_the_same_alone_and_in_a_batch() -> None:
    model = Crnn(TINY, 1, 32, 11).eval()
    images = torch.rand(3, 1, 32, 128)
    torch.testing.assert_close(model(images)[:, 1:2], model(images[1:2]), atol=1e-5, rtol=1e-4)


def test_a_column_tells_a_bar_at_the_top_from_one_at_the_bottom() -> None:
    model = Crnn(TINY, 1, 32, 11)  # in training mode: before any training, only batch norm keeps signals alive
    images = torch.zeros(2, 1, 32, 128)
    images[0, :, 2:6], images[1, :, -6:-2] = 1, 1
    top, bottom = model.columns(images).unbind(1)
    assert not torch.allclose(top, bottom, atol=0.1)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_trunk_computes_channels_last(channels: int) -> None:
    model = Crnn(TINY, channels, 32, 11)
    layouts = []
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda m, i, out: layouts.append(out.is_contiguous(memory_format=torch.channels_last)))
    model(torch.rand(2, channels, 32, 128))
    assert layouts
    assert all(layouts)


def test_an_inverted_residual_adds_its_input_only_where_shapes_agree() -> None:
    assert InvertedResidual(8, 8, 2).adds
    assert not InvertedResidual(8, 8, 2, stride=(2, 1)).adds
    assert not InvertedResidual(8, 12, 2).adds


def test_a_night_crop_and_a_bright_one_look_alike_and_an_empty_one_is_not_blown_up() -> None:
    image = torch.rand(1, 1, 32, 128)
    both = standardised(torch.cat([image, image * 0.5 + 0.3]))
    torch.testing.assert_close(both[0], both[1], atol=0.5, rtol=0)
    assert both.mean().abs() < 1e-5
    assert standardised(torch.full((1, 1, 8, 8), 0.5) + torch.rand(1, 1, 8, 8) * 0.004).abs().max() < 0.1
