"""What a generator's training remembers between validations: which characters are confused, and how good the pictures are."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glyphyard.nn.losses import CharacterConfusion
from glyphyard.recipe.super_resolution import LcoflConfig


class Books(CharacterConfusion):
    """The character confusion tracker and the last PSNR, as a part without parameters: in every checkpoint, alike on all ranks."""

    last_psnr: Tensor

    def __init__(self, num_classes: int, config: LcoflConfig) -> None:
        super().__init__(num_classes, config.alpha, config.max_weight, config.decay)
        self.register_buffer("last_psnr", torch.tensor(math.nan))

    @property
    def psnr_db(self) -> float | None:
        """The last validation's PSNR, None before the first."""
        value = float(self.last_psnr)
        return None if math.isnan(value) else value

    @torch.no_grad()
    def take(self, counts_VV: Tensor, psnr_db: float) -> None:
        """Take in a validation, once."""
        self.update_(counts_VV)
        if not math.isnan(psnr_db):
            self.last_psnr.fill_(psnr_db)
