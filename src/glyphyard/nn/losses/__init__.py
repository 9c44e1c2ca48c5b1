"""Losses: of reading (CTC, flat start, permuted language modelling), of pictures (L1, SSIM), and LCOFL's character terms."""

from glyphyard.nn.losses.characters import ctc_losses, kinds_of, official_losses, position_losses
from glyphyard.nn.losses.confusion import CharacterConfusion, count_confusions
from glyphyard.nn.losses.pictures import l1_loss, psnr, ssim, ssim_loss
from glyphyard.nn.losses.reading import ctc_loss, flat_start_loss, plm_loss

__all__ = [
    "CharacterConfusion",
    "count_confusions",
    "ctc_loss",
    "ctc_losses",
    "flat_start_loss",
    "kinds_of",
    "l1_loss",
    "official_losses",
    "plm_loss",
    "position_losses",
    "psnr",
    "ssim",
    "ssim_loss",
]
