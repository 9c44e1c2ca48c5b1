"""Greedy decoding and text metrics of whole batches as tensor operations; strings are only made of misread rows."""

from __future__ import annotations

import torch
from torch import Tensor

from glyphyard.core.alphabet import BLANK
from glyphyard.core.decoding import END
from glyphyard.core.text_metrics import edit_distance

# The sums of a validation batch, in this order; see `Task.measure`.
SUMS = ("loss", "samples", "exact", "same_length", "edits", "characters")


def greedy_ids(log_probs_TNK: Tensor) -> tuple[Tensor, Tensor]:
    """Return best ids with repeats collapsed and blanks dropped, (N,T) padded with BLANK, and their lengths (N,)."""
    best_NT = log_probs_TNK.argmax(-1).T
    kept_NT = best_NT != BLANK
    kept_NT[:, 1:] &= best_NT[:, 1:] != best_NT[:, :-1]
    # The n-th kept id goes to place n; everything else goes to one place too many, which is cut off.
    steps = best_NT.shape[1]
    place_NT = torch.where(kept_NT, kept_NT.cumsum(1) - 1, steps)
    packed = best_NT.new_full((len(best_NT), steps + 1), BLANK).scatter_(1, place_NT, best_NT)
    return packed[:, :steps], kept_NT.sum(1)


def ended_ids(log_probs_TNK: Tensor) -> tuple[Tensor, Tensor]:
    """Return best ids up to the first END, (N,T) padded with END (which is BLANK), and their lengths (N,)."""
    best_NT = log_probs_TNK.argmax(-1).T
    kept_NT = (best_NT != END).cumprod(1).bool()
    return best_NT.masked_fill(~kept_NT, END), kept_NT.sum(1)


def score(read_NT: Tensor, read_lengths_N: Tensor, labels_NL: Tensor, lengths_N: Tensor) -> Tensor:
    """Return (5,) float64: samples, exact, same length, edits, true characters; ids are padded with BLANK."""
    width = max(read_NT.shape[1], labels_NL.shape[1])
    pad = torch.nn.functional.pad
    exact_N = (pad(read_NT, (0, width - read_NT.shape[1])) == pad(labels_NL, (0, width - labels_NL.shape[1]))).all(1)
    wrong = (~exact_N).nonzero().squeeze(1)
    edits = sum(
        map(_edits, read_NT[wrong].tolist(), read_lengths_N[wrong].tolist(), labels_NL[wrong].tolist(), lengths_N[wrong].tolist())
    )
    counts = [len(exact_N), int(exact_N.sum()), int((read_lengths_N == lengths_N).sum()), edits, int(lengths_N.sum())]
    return torch.tensor(counts, dtype=torch.float64)


def _edits(read: list[int], read_length: int, truth: list[int], length: int) -> int:
    return edit_distance("".join(map(chr, truth[:length])), "".join(map(chr, read[:read_length])))
