"""What a CRNN sees with: convolutions that turn an image into columns of features, four pixels of width each.

Shapes: images (N,C,H,W) → (N, last channels, ceil(H / 16), ceil(W / 4)).
"""

from __future__ import annotations

from torch import nn

from glyphyard.nn.blocks import ChannelsLast, InvertedResidual, Stride, conv_norm
from glyphyard.recipe.model import CrnnConfig

# The stem and stage 2 halve both sides; stages 3 and 4 halve the height only, so that a column stays 4 pixels wide.
STAGE_STRIDES: tuple[Stride, ...] = ((1, 1), (2, 2), (2, 1), (2, 1))
HALVINGS_OF_HEIGHT = 4


def trunk_of(config: CrnnConfig, channels: int) -> nn.Sequential:
    """Return the trunk that a configuration names, for images of so many channels."""
    return {"mobile": mobile_trunk, "deep": deep_trunk}[config.trunk](config, channels)


def mobile_trunk(config: CrnnConfig, channels: int) -> nn.Sequential:
    """Inverted residuals: few weights, for crops that are read on a camera."""
    width = config.channels[0]
    layers = _stem(channels, width)
    for stage, (outputs, blocks, stride) in enumerate(zip(config.channels, config.blocks, STAGE_STRIDES, strict=True)):
        for block in range(blocks):
            # As in MobileNetV2 the first stage does not widen: it runs at the highest resolution.
            layers.append(InvertedResidual(width, outputs, config.expansion if stage else 1, stride if block == 0 else (1, 1)))
            width = outputs
    return nn.Sequential(*layers)


def deep_trunk(config: CrnnConfig, channels: int) -> nn.Sequential:
    """Plain 3×3 convolutions with batch norm between pools, as Shi et al. (2015) have them, for handwriting.

    Pools keep the strongest answer: a stroke is two pixels wide, and a strided convolution could step over it.
    """
    width = config.channels[0]
    layers = _stem(channels, width)
    for outputs, blocks, stride in zip(config.channels, config.blocks, STAGE_STRIDES, strict=True):
        if stride != (1, 1):
            layers.append(nn.MaxPool2d(stride, stride))
        for _ in range(blocks):
            layers.append(conv_norm(width, outputs))
            width = outputs
    return nn.Sequential(*layers)


def _stem(channels: int, width: int) -> list[nn.Module]:
    convolution, *rest = conv_norm(channels, width, stride=(2, 2))
    return [convolution, ChannelsLast(), *rest]
