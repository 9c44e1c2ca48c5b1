"""Which characters are misread, and how much more they weigh for it. Shapes: V classes, N images, T and L characters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glyphyard.core.text_metrics import GAP, align


def count_confusions(
    read_ids_NT: Tensor, read_lengths_N: Tensor, labels_NL: Tensor, lengths_N: Tensor, num_classes: int
) -> Tensor:
    """Return how often each true class (row) was read as each class (column), (V,V) float64 on the CPU, aligned by edits.

    Class 0 stands for nothing: its column counts characters that were left out, its row those that were made up. Counts
    add up over batches and ranks.
    """
    counts = torch.zeros(num_classes, num_classes, dtype=torch.float64)
    truths, reads = labels_NL.tolist(), read_ids_NT.tolist()
    for truth, length, read, read_length in zip(truths, lengths_N.tolist(), reads, read_lengths_N.tolist(), strict=True):
        for a, b in align("".join(map(chr, truth[:length])), "".join(map(chr, read[:read_length]))):
            counts[ord(a) if a != GAP else 0, ord(b) if b != GAP else 0] += 1
    return counts


class CharacterConfusion(nn.Module):
    """Confusion rates of each character and the weights that follow from them: a state without parameters.

    Rates, not counts: w = clamp(1 + alpha · rate / mean rate, 1, max_weight), the rate a moving average over validations.
    As a part of a task it lies in every checkpoint; `update_` once a validation with counts that all ranks have added up.
    """

    rates: Tensor
    seen: Tensor

    def __init__(self, num_classes: int, alpha: float = 0.1, max_weight: float = 3.0, decay: float = 0.5) -> None:
        super().__init__()
        self.alpha, self.max_weight, self.decay = alpha, max_weight, decay
        self.register_buffer("rates", torch.zeros(num_classes))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    @torch.no_grad()
    def update_(self, counts_VV: Tensor) -> None:
        """Move the rates of characters that occurred towards a validation's; a first one is taken as it is."""
        counts = counts_VV.to(self.rates.device, torch.float32)
        total = counts.sum(1)
        here = total > 0
        here[0] = False  # "nothing" is no character
        rate = 1 - counts.diagonal() / total.clamp_min(1)
        moved = torch.where(self.seen, self.decay * self.rates + (1 - self.decay) * rate, rate)
        self.rates.copy_(torch.where(here, moved, self.rates))
        self.seen |= here

    def weights(self) -> Tensor:
        """Return each class's weight (V,) in [1, max_weight]; 1 for what never occurred, or where nothing is confused."""
        mean = self.rates.sum() / self.seen.sum().clamp_min(1)
        return (1 + self.alpha * self.rates / mean.clamp_min(1e-6)).clamp(1.0, self.max_weight)
