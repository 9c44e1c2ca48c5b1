from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.core.alphabet import Alphabet
from glyphyard.nn.losses import ctc_losses, kinds_of, official_losses, position_losses
from glyphyard.nn.losses.characters import alignment_shares, bounded, other_kind

ALPHABET = Alphabet("01AB-")
KINDS = kinds_of(ALPHABET)
ONES = torch.ones(6)
LABELS, LENGTHS = torch.tensor([[1, 3, 5], [4, 2, 0]]), torch.tensor([3, 2])  # "0A-", "B1"


def sure(labels: torch.Tensor, classes: int = 6) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, classes).float() * 40


def ended(labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(labels, (0, 1))


def test_kinds_and_what_may_not_be_mixed_up() -> None:
    assert KINDS.tolist() == [0, 2, 2, 1, 1, 0]
    mixed = other_kind(KINDS)
    assert mixed[1].tolist() == [False, False, False, True, True, False]
    assert not mixed[5].any()
    assert not mixed[0].any()


def test_what_letters_and_digits_are_folded_onto_is_of_no_kind() -> None:
    assert kinds_of(Alphabet("01AB-", {"O": "0", "Q": "0", "a": "A"})).tolist() == [0, 0, 2, 1, 1, 0]


def test_a_sure_and_right_reader_costs_nothing_whatever_stands_after_the_end() -> None:
    shown = ended(LABELS)
    shown[1, 3] = 5
    classification, layout = position_losses(sure(shown), LABELS, LENGTHS, ONES, KINDS)
    assert classification < 1e-4
    assert layout < 1e-4


@pytest.mark.parametrize(("row", "place", "seen"), [(0, 3, 1), (1, 2, 5), (0, 2, 0)])
def test_text_that_is_read_on_or_ends_early_costs_one_of_the_positions(row: int, place: int, seen: int) -> None:
    shown = ended(LABELS)
    shown[row, place] = seen
    classification, layout = position_losses(sure(shown), LABELS, LENGTHS, ONES, KINDS, q=1.0)
    assert classification.item() == pytest.approx(1 / 7, abs=1e-4)  # of five characters and two ENDs
    assert layout < 1e-4


def test_the_layout_term_is_the_probability_of_the_wrong_kind() -> None:
    logits = sure(ended(LABELS))
    logits[0, 0] = torch.tensor([-40.0, 0, 0, 0, 0, -40])  # of 0, 1, A, B a half is letters
    _, layout = position_losses(logits, LABELS, LENGTHS, ONES, KINDS)
    assert layout.item() == pytest.approx(0.5 / 5, abs=1e-4)


def test_weights_are_normalised_once() -> None:
    logits = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(1))
    even, _ = position_losses(logits, LABELS, LENGTHS, ONES, KINDS)
    scaled, _ = position_losses(logits, LABELS, LENGTHS, ONES * 7, KINDS)
    torch.testing.assert_close(even, scaled)
    log_probs = logits.log_softmax(-1)
    weights = torch.tensor([1.0, 1, 1, 3, 1, 1])
    places = ((0, 0, 1), (0, 1, 3), (0, 2, 5), (0, 3, 0), (1, 0, 4), (1, 1, 2), (1, 2, 0))
    terms = [(weights[c].item(), -log_probs[n, i, c].item()) for n, i, c in places]
    wanted = sum(w * v for w, v in terms) / sum(w for w, _ in terms)
    assert position_losses(logits, LABELS, LENGTHS, weights, KINDS)[0].item() == pytest.approx(wanted, rel=1e-5)


@given(st.floats(0, 20), st.floats(0.01, 1))
def test_a_bounded_loss_orders_as_the_likelihood_does_and_ends_at_one_over_q(nll: float, q: float) -> None:
    less, more = bounded(torch.tensor([nll, nll + 0.5], dtype=torch.float64), q).tolist()
    assert 0 <= less < more <= 1 / q
    assert less == pytest.approx((1 - math.exp(-nll) ** q) / q, rel=1e-6, abs=1e-9)
    assert bounded(torch.tensor(nll), 0.0).item() == torch.tensor(nll).item()


@pytest.mark.parametrize("q", [0.0, 1.0])
def test_what_cannot_be_read_pulls_less_where_the_loss_is_bounded(q: float) -> None:
    hopeless, doubtful = torch.full((2, 6), -4.0), torch.full((2, 6), -4.0)
    hopeless[:, 5], doubtful[:, 5], doubtful[0, 1], doubtful[1, 3] = 9.0, 0.0, 0.0, 0.0  # "--" for "0A"; then in two minds
    labels, lengths = torch.tensor([[1, 3], [1, 3]]), torch.tensor([2, 2])
    at_places = torch.stack([hopeless, doubtful]).requires_grad_()
    end = torch.tensor([[9.0, -4, -4, -4, -4, -4]])
    position_losses(torch.stack([torch.cat([row, end]) for row in at_places]), labels, lengths, ONES, KINDS, q)[0].backward()
    blank = torch.tensor([9.0, -4, -4, -4, -4, -4])
    at_steps = torch.stack([torch.stack([row[0], blank, row[1]]) for row in (hopeless, doubtful)], 1).requires_grad_()
    ctc_losses(at_steps.log_softmax(-1), labels, lengths, ONES, KINDS, q)[0].backward()
    assert at_places.grad is not None
    assert at_steps.grad is not None
    for pull in (at_places.grad.flatten(1).norm(dim=1), at_steps.grad.transpose(0, 1).flatten(1).norm(dim=1)):
        assert bool(pull[0] < pull[1] / 100) == bool(q)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_alignment_shares_are_the_posteriors_over_all_paths(seed: int) -> None:
    log_probs = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    found = alignment_shares(log_probs, torch.tensor([[1, 2]]), torch.tensor([2]))[:, 0]
    wanted = torch.zeros(4, 3)
    for path in itertools.product(range(3), repeat=4):
        if tuple(k for k, _ in itertools.groupby(path) if k) == (1, 2):
            likelihood = math.prod(log_probs[t, 0, k].exp().item() for t, k in enumerate(path))
            for t, k in enumerate(path):
                wanted[t, k] += likelihood
    torch.testing.assert_close(found, wanted / wanted[0].sum(), atol=1e-4, rtol=1e-3)


def test_a_text_that_has_no_room_adds_nothing() -> None:
    scores = torch.randn(3, 2, len(KINDS), generator=torch.Generator().manual_seed(0))
    labels, lengths = torch.tensor([[1, 2, 0], [3, 3, 3]]), torch.tensor([2, 3])  # the second one needs five steps
    both = ctc_losses(scores.log_softmax(-1), labels, lengths, ONES, KINDS)
    first = ctc_losses(scores[:, :1].log_softmax(-1), labels[:1], lengths[:1], ONES, KINDS)
    assert not alignment_shares(scores.log_softmax(-1), labels, lengths)[:, 1].any()
    assert both[1] == pytest.approx(float(first[1]))


def test_what_is_read_with_certainty_has_room_and_counts() -> None:
    path = torch.tensor([1, 0, 1, 2, 0])  # two alike, and the blank between them
    scores = torch.zeros(5, 1, len(KINDS)).scatter_(2, path[:, None, None], 40.0)  # its loss is 0 to the last digit
    shares = alignment_shares(scores.log_softmax(-1), torch.tensor([[1, 1, 2]]), torch.tensor([3]))
    assert torch.equal(shares[:, 0].argmax(-1), path)
    assert shares.sum() == pytest.approx(5.0)


def test_a_ctc_reader_is_charged_for_the_wrong_kind_where_the_character_stands() -> None:
    blank, path = 0, [1, 0, 3, 0, 5, 0]
    right = sure(torch.tensor(path)).log_softmax(-1)[:, None]
    labels, lengths = LABELS[:1], LENGTHS[:1]
    classification, layout = ctc_losses(right, labels, lengths, ONES, KINDS)
    assert classification < 1e-3
    assert layout < 1e-3
    confused = sure(torch.tensor(path))
    confused[0, 3] = confused[0, 1]  # half a 0, half an A, at the step of the 0
    hesitant, charged = ctc_losses(confused.log_softmax(-1)[:, None], labels, lengths, ONES, KINDS)
    assert charged.item() == pytest.approx(0.5 / 3, abs=0.02)
    assert hesitant > classification
    assert path[1] == blank


def test_the_official_form_charges_strings() -> None:
    read, read_lengths = torch.tensor([[3, 3, 5], [4, 3, 0]]), torch.tensor([3, 2])  # "AA-" for "0A-", "BA" for "B1"
    classification, layout = official_losses(read, read_lengths, LABELS, LENGTHS, KINDS, 6)
    right, wrong = -math.log(math.e / (math.e + 5)), -math.log(1 / (math.e + 5))
    assert classification.item() == pytest.approx((3 * right + 2 * wrong) / 5, rel=1e-5)
    assert layout.item() == pytest.approx((0.5 + 0.5) / 2)
    digits = torch.tensor([[1, 1, 5], [4, 2, 0]])  # "00-" for "0A-"
    assert official_losses(digits, read_lengths, LABELS, LENGTHS, KINDS, 6)[1].item() == pytest.approx(0.4 / 2)
