"""Losses of text recognition."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from glyphyard.core.alphabet import BLANK

FLAT_MARGIN = 0.06  # of the crop's width, left and right of the text
FLAT_CORE = 0.3  # of a character's slot on each side of its centre that is surely the character
FLAT_BLANK_WEIGHT = 0.3  # there are more blank steps than others
ORDERS_WITH_END = 2
IGNORED = -100


def flat_start_loss(log_probs_TNK: Tensor, labels_NL: Tensor, lengths_N: Tensor) -> Tensor:
    """Return the cross-entropy against characters spaced evenly over the width: a rough alignment to start from.

    Speech recognisers were begun this way (the "flat start" of the HTK Book). CTC alone first learns to say blank everywhere
    and takes thousands of crops to leave that plateau. Wrong in detail, this has to fade out early.
    """
    steps = log_probs_TNK.shape[0]
    times_T = (torch.arange(steps, device=labels_NL.device) + 0.5) / steps
    places_TN = (times_T[:, None] - FLAT_MARGIN) / (1 - 2 * FLAT_MARGIN) * lengths_N[None]
    slots_TN = places_TN.floor().long()
    sure_TN = (slots_TN >= 0) & (slots_TN < lengths_N[None]) & ((places_TN - slots_TN - 0.5).abs() < FLAT_CORE)
    found_TN = labels_NL.gather(1, slots_TN.clamp(0, labels_NL.shape[1] - 1).t()).t()
    targets_TN = torch.where(sure_TN, found_TN, BLANK)
    weights_K = torch.ones(log_probs_TNK.shape[-1], device=log_probs_TNK.device)
    weights_K[BLANK] = FLAT_BLANK_WEIGHT
    return functional.nll_loss(log_probs_TNK.float().flatten(0, 1), targets_TN.flatten(), weights_K)


def ctc_loss(log_probs_TNK: Tensor, labels_NL: Tensor, lengths_N: Tensor) -> Tensor:
    """Return the CTC loss of each sample per target character, averaged over the batch (Graves et al., 2006).

    A sample that cannot be aligned (too long for T; the audit keeps those out) counts as zero rather than infinite,
    so that one label never turns the weights into NaN.
    """
    steps_N = torch.full((log_probs_TNK.shape[1],), log_probs_TNK.shape[0], dtype=torch.long)
    # Lengths on the CPU: torch would copy them there, and wait for the device to do so.
    return functional.ctc_loss(
        log_probs_TNK.float(), labels_NL, steps_N, lengths_N.cpu(), blank=BLANK, reduction="mean", zero_infinity=True
    )


def plm_loss(logits_NKLV: Tensor, labels_NL: Tensor, lengths_N: Tensor) -> Tensor:
    """Return the mean cross-entropy of permuted language modelling over all orders and positions (Bautista & Atienza, 2022).

    `logits_NKLV`: one position more than `labels_NL` (padded with 0) has columns. The END, class 0, is learnt in the first
    two orders only, the plain one and its mirror: elsewhere it always comes last and says nothing new.
    """
    orders, positions = logits_NKLV.shape[1:3]
    place_L = torch.arange(positions, device=labels_NL.device)
    ended_NL = torch.cat([labels_NL, torch.zeros_like(lengths_N)[:, None]], 1)
    targets_NL = ended_NL.masked_fill(place_L > lengths_N[:, None], IGNORED)
    without_end_NL = ended_NL.masked_fill(place_L >= lengths_N[:, None], IGNORED)
    targets_NKL = torch.stack([targets_NL if k < ORDERS_WITH_END else without_end_NL for k in range(orders)], 1)
    return functional.cross_entropy(logits_NKLV.float().flatten(0, 2), targets_NKL.flatten(), ignore_index=IGNORED)
