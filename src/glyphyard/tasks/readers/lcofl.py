"""LCOFL: how well a recogniser reads an enlarged picture, and how much the picture resembles the true one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from glyphyard.nn.losses import kinds_of, official_losses, ssim_loss
from glyphyard.recipe.super_resolution import LcoflConfig
from glyphyard.tasks.readers.base import Reader, as_shipped

LCOFL_PARTS = ("classification", "layout", "ssim")
LEAST_SHARE = 0.1  # of the character terms, however bad the picture


class Lcofl:
    """The loss of a recipe's form; it has no state. Weights come from a `CharacterConfusion`."""

    def __init__(self, config: LcoflConfig, reader: Reader) -> None:
        self.config, self.reader, self.kinds = config, reader, kinds_of(reader.alphabet)

    def __call__(
        self,
        network: nn.Module,
        sr_BCHW: Tensor,
        hr_BCHW: Tensor,
        targets: Mapping[str, Tensor],
        weights_V: Tensor,
        psnr_db: float | None = None,
    ) -> dict[str, Tensor]:
        """Return "lcofl", and what it is made of: "classification", "layout" and "ssim", detached and unweighted.

        The recogniser may be frozen, but gradients have to flow through it: call this without `no_grad`. `psnr_db`, of the
        last validation: below the configured floor the character terms shrink in proportion, so that pictures come first.
        """
        if self.config.form == "official":
            classification, layout = self._official(network, sr_BCHW, targets)
            share = 1.0
        else:
            classification, layout = self.reader.character_losses(network, sr_BCHW, targets, weights_V, self.config.q)
            share = 1.0 if psnr_db is None else max(LEAST_SHARE, min(1.0, psnr_db / self.config.psnr_floor))
        structure = ssim_loss(sr_BCHW, hr_BCHW, self.config.ssim_window)
        characters = self.config.classification * classification + self.config.layout * layout
        parts = zip(LCOFL_PARTS, (classification, layout, structure), strict=True)
        return {"lcofl": share * characters + self.config.ssim * structure} | {name: part.detach() for name, part in parts}

    @torch.no_grad()
    def _official(self, network: nn.Module, sr_BCHW: Tensor, targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        with as_shipped(network):
            read = self.reader.read(network, sr_BCHW)
        kinds = self.kinds.to(sr_BCHW.device)
        return official_losses(read.ids_NT, read.lengths_N, targets["labels"], targets["lengths"], kinds, len(kinds))
