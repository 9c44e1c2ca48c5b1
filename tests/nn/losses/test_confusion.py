from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.text_metrics import TextCounts
from glyphyard.nn.losses import CharacterConfusion, count_confusions

TEXTS = st.lists(st.lists(st.integers(1, 4), max_size=5), min_size=1, max_size=4)


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows)) + 1
    return torch.tensor([row + [0] * (width - len(row)) for row in rows]), torch.tensor([len(row) for row in rows])


@given(TEXTS, TEXTS)
def test_counts_are_those_of_the_text_metrics_and_add_up(truths: list[list[int]], reads: list[list[int]]) -> None:
    pairs = list(zip(truths, reads))
    labels, lengths = padded([t for t, _ in pairs])
    read, read_lengths = padded([r for _, r in pairs])
    counts = count_confusions(read, read_lengths, labels, lengths, 5)
    wanted = TextCounts()
    for truth, said in pairs:
        wanted.add("".join(map(str, truth)), "".join(map(str, said)))
    for (a, b), count in wanted.confusion.items():
        assert counts[int(a or 0), int(b or 0)] == count
    assert counts.sum() == sum(wanted.confusion.values())
    one_by_one = [
        count_confusions(read[i : i + 1], read_lengths[i : i + 1], labels[i : i + 1], lengths[i : i + 1], 5)
        for i in range(len(pairs))
    ]
    assert torch.equal(sum(one_by_one), counts)


@given(st.lists(st.integers(0, 50), min_size=16, max_size=16), st.integers(0, 3))
def test_weights_stay_in_their_bounds_however_much_is_confused(values: list[int], extra: int) -> None:
    confusion = CharacterConfusion(4, alpha=0.1 * 10**extra, max_weight=3.0)
    for _ in range(5):
        confusion.update_(torch.tensor(values, dtype=torch.float64).reshape(4, 4))
    weights = confusion.weights()
    assert (weights >= 1).all()
    assert (weights <= 3).all()
    assert weights[0] == 1
    assert torch.isfinite(weights).all()


def test_rates_count_and_not_how_long_one_has_counted() -> None:
    counts = torch.tensor([[0.0, 0, 0], [0, 8, 2], [0, 0, 10]], dtype=torch.float64)
    once, often = CharacterConfusion(3, alpha=1.0), CharacterConfusion(3, alpha=1.0)
    once.update_(counts)
    for _ in range(20):
        often.update_(counts * 100)
    torch.testing.assert_close(once.weights(), often.weights())
    torch.testing.assert_close(once.weights(), torch.tensor([1.0, 3.0, 1.0]))  # the mean rate is 0.1, that of class 1 0.2
    once.update_(torch.zeros(3, 3))
    torch.testing.assert_close(once.weights(), often.weights())


def test_the_state_survives_in_a_state_dict_and_nothing_of_it_is_trained() -> None:
    confusion = CharacterConfusion(3, alpha=1.0)
    confusion.update_(torch.tensor([[0.0, 0, 0], [0, 8, 2], [0, 0, 10]]))
    other = CharacterConfusion(3, alpha=1.0)
    other.load_state_dict(confusion.state_dict())
    assert torch.equal(other.weights(), confusion.weights())
    assert list(confusion.parameters()) == []
