"""Beam search finds what adding up all alignments finds, and an n-gram decides where the network hesitates."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import greedy_decode
from glyphyard.core.ngram import Ngram, learn_ngram
from glyphyard.core.ngram_beam import BeamSpec, best_ids, ngram_decode

ALPHABET = Alphabet("ab")
MODEL = learn_ngram(["ab", "abab", "aab"], 3, ALPHABET)
T = 4


def by_hand(logs_TC: np.ndarray, ngram: Ngram, spec: BeamSpec) -> tuple[int, ...]:
    """Add up every path of every text, and score every text."""
    totals: dict[tuple[int, ...], float] = {}
    for path in product(range(3), repeat=len(logs_TC)):
        ids = tuple(c for c, _ in groupby(path) if c)
        totals[ids] = totals.get(ids, 0.0) + float(np.exp(sum(logs_TC[t, c] for t, c in enumerate(path))))

    def score(ids: tuple[int, ...]) -> float:
        return np.log(totals[ids]) + spec.weight * ngram.log_probability(ALPHABET.decode(ids)) + spec.bonus * len(ids)

    return max(totals, key=lambda ids: (score(ids), ids))


@settings(max_examples=40)
@given(
    st.lists(st.floats(-1.5, 1.5), min_size=3 * T, max_size=3 * T), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.7])
)
def test_a_wide_beam_finds_the_best_text_of_all(scores: list[float], weight: float, bonus: float) -> None:
    logits = np.array(scores).reshape(T, 3)
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    spec = BeamSpec(64, weight, bonus)
    assert best_ids(logs, ALPHABET, MODEL, spec) == by_hand(logs, MODEL, spec)


def spoken(*steps: dict[str, float], alphabet: Alphabet) -> np.ndarray:
    """Return logits (T,1,C) of steps that name the probabilities of some characters; the rest is the blank's."""
    probabilities = np.full((len(steps), alphabet.num_classes), 1e-6)
    for row, step in zip(probabilities, steps, strict=True):
        row[0] = 1 - sum(step.values()) + 1e-6
        for character, p in step.items():
            row[alphabet.characters.index(character) + 1] = p
    return np.log(probabilities)[:, None]


NAMES = Alphabet("Straßenwu ")
TAUGHT = learn_ngram(["Straße", "Straße", "Straßenau", "aue Straße"], 4, NAMES)


def test_the_ngram_decides_where_the_network_hesitates() -> None:
    steps = [{"S": 0.9}, {"t": 0.9}, {"r": 0.9}, {"u": 0.5, "a": 0.45}, {"ß": 0.9}, {"e": 0.9}]
    logits = spoken(*steps, alphabet=NAMES)
    assert greedy_decode(logits, NAMES)[0].text == "Struße"
    (found,) = ngram_decode(logits, NAMES, TAUGHT, BeamSpec())
    assert found.text == "Straße"
    assert found.character_confidences[3] == pytest.approx(0.45, abs=0.01)  # the network's own doubt is not hidden
    assert found.confidence == pytest.approx(np.prod(found.character_confidences))


def test_a_sure_network_is_not_overruled() -> None:
    logits = spoken(*({c: 0.999} for c in "wuStraen"), alphabet=NAMES)
    assert ngram_decode(logits, NAMES, TAUGHT, BeamSpec())[0].text == "wuStraen"


def test_nothing_is_read_where_nothing_is_written() -> None:
    (found,) = ngram_decode(spoken({}, {}, {}, alphabet=NAMES), NAMES, TAUGHT, BeamSpec())
    assert (found.text, found.character_confidences) == ("", ())
    assert found.confidence > 0.99


def test_doubled_letters_need_a_blank_between_them() -> None:
    logits = spoken({"a": 0.9}, {}, {"a": 0.9}, {"a": 0.9}, alphabet=NAMES)
    assert ngram_decode(logits, NAMES, TAUGHT, BeamSpec(weight=0.0, bonus=0.0))[0].text == "aa"
