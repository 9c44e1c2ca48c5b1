from __future__ import annotations

import itertools
import math

import torch
from torch.nn import functional

from glyphyard.nn.losses import ctc_loss, flat_start_loss


def brute_force(probs_TK: torch.Tensor, label: tuple[int, ...]) -> float:
    """Sum the probability of every path that collapses to `label`."""
    steps, classes = probs_TK.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=steps):
        collapsed = tuple(k for k, _ in itertools.groupby(path) if k != 0)
        if collapsed == label:
            total += math.prod(probs_TK[t, k].item() for t, k in enumerate(path))
    return total


def test_the_loss_is_the_mean_of_per_character_losses_over_all_paths() -> None:
    log_probs = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).log_softmax(-1)
    labels, lengths = torch.tensor([[1, 2], [2, 0]]), torch.tensor([2, 1])
    wanted = [
        -math.log(brute_force(log_probs[:, n].exp(), tuple(labels[n, : lengths[n]].tolist()))) / int(lengths[n]) for n in (0, 1)
    ]
    torch.testing.assert_close(ctc_loss(log_probs, labels, lengths), torch.tensor(sum(wanted) / 2), atol=1e-5, rtol=1e-5)


def test_an_infeasible_label_counts_zero_and_leaves_gradients_finite() -> None:
    log_probs = torch.randn(2, 1, 3, requires_grad=True)
    loss = ctc_loss(log_probs.log_softmax(-1), torch.tensor([[1, 1]]), torch.tensor([2]))  # needs three steps
    loss.backward()
    assert loss == 0
    assert torch.isfinite(log_probs.grad).all()


def test_a_flat_start_wants_the_characters_evenly_spaced_and_blanks_between() -> None:
    labels, lengths = torch.tensor([[3, 4], [5, 0]]), torch.tensor([2, 1])
    wanted = torch.zeros(20, 2, dtype=torch.long)
    wanted[3:8, 0], wanted[12:17, 0], wanted[5:15, 1] = 3, 4, 5
    right = functional.one_hot(wanted, 7).float().mul(20).log_softmax(-1)
    assert flat_start_loss(right, labels, lengths) < 0.2 < 1 < flat_start_loss(right.flip(0), labels, lengths)
