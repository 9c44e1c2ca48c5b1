"""CRNN: a convolutional trunk reads columns, a bidirectional LSTM puts them in context (after Shi et al., 2015).

Shapes: N images, C channels, H×W pixels, T = ceil(W / 4) time steps, F features, K classes with the blank.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from glyphyard.nn.trunks import HALVINGS_OF_HEIGHT, trunk_of
from glyphyard.recipe.model import CrnnConfig

LEAST_SPREAD = 0.05  # of [0, 1]: an empty crop is not blown up into noise


class Crnn(nn.Module):
    """Images (N,C,H,W) in [0, 1] → log-probabilities (T,N,K), time-major, class 0 the CTC blank."""

    def __init__(self, config: CrnnConfig, channels: int, height: int, num_classes: int) -> None:
        super().__init__()
        self.trunk = trunk_of(config, channels)
        # The last rows are flattened into channels and mixed by one convolution as high as they are: an average
        # over the height would make a bar at the top (T) and one at the bottom (L) the same.
        rows = -(-height // 2**HALVINGS_OF_HEIGHT)
        self.collapse = nn.Sequential(
            nn.Conv2d(config.channels[-1], config.features, (rows, 1), bias=False),
            nn.BatchNorm2d(config.features),
            nn.ReLU6(inplace=True),
        )
        self.context = nn.LSTM(
            config.features,
            config.hidden,
            config.layers,
            bidirectional=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.hidden, num_classes)
        # Past the LSTM, so that the trunk has a reason to look at letters before the LSTM has learnt to pass them on:
        # CTC leaves its plateau of blanks after thousands of crops less.
        self.shortcut = nn.Linear(config.features, num_classes)

    def columns(self, images_NCHW: Tensor) -> Tensor:
        """Return what the trunk sees in each column, (T,N,F)."""
        if images_NCHW.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast(
                "cpu", enabled=False
            ):  # bf16 was measured to help the LSTM, on CPUs that have it; not convolutions
                return self.columns(images_NCHW)
        features_NFT = self.collapse(self.trunk(standardised(images_NCHW))).squeeze(2)
        return features_NFT.permute(2, 0, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return log-probabilities (T,N,K) in float32, whatever the precision inside."""
        columns_TNF = self.columns(images_NCHW)
        context_TNF = self._in_context(columns_TNF)
        scores_TNK = self.head(self.dropout(context_TNF)) + self.shortcut(columns_TNF)
        return scores_TNK.float().log_softmax(-1)

    def _in_context(self, columns_TNF: Tensor) -> Tensor:
        if not columns_TNF.is_cuda:
            context_TNF, _ = self.context(columns_TNF)
            return context_TNF
        # cuDNN's LSTM has no way back in evaluation mode, in which a frozen recogniser teaches a generator; and autocast
        # would give it float16, asked for bfloat16 too, whose small gradients are lost without a scaled loss.
        stuck = not self.training and torch.is_grad_enabled()
        with (
            torch.autocast("cuda", enabled=False),
            torch.backends.cudnn.flags(enabled=False) if stuck else nullcontext(),
        ):
            context_TNF, _ = self.context(columns_TNF.float())
        return context_TNF


def standardised(images_NCHW: Tensor) -> Tensor:
    """Give each image mean 0 and about unit spread: a night crop and a bright one look alike to the first layer.

    It is part of the network, so that what is shipped takes pixels in [0, 1] like any other model.
    """
    centred = images_NCHW - images_NCHW.mean((1, 2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + LEAST_SPREAD)
