"""Losses of text recognition."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from glyphyard.core.alphabet import BLANK


def ctc_loss(log_probs_TNK: Tensor, labels_NL: Tensor, lengths_N: Tensor) -> Tensor:
    """Return the CTC loss of each sample per target character, averaged over the batch (Graves et al., 2006).

    A sample that cannot be aligned (too long for T; the audit keeps those out) counts as zero rather than infinite,
    so that one label never turns the weights into NaN.
    """
    steps_N = torch.full((log_probs_TNK.shape[1],), log_probs_TNK.shape[0], dtype=torch.long)
    # Lengths on the CPU: torch would copy them there, and wait for the device to do so.
    return functional.ctc_loss(log_probs_TNK.float(), labels_NL, steps_N, lengths_N.cpu(), blank=BLANK, reduction="mean", zero_infinity=True)
