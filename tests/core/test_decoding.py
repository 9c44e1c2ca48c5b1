"""Reading position by position: the END stops, characters keep their confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import best_steps
from glyphyard.core.decoding import DECODERS, attention_decode, decoder_of, step_reader_of

ALPHABET = Alphabet("ABC")


def logits(*rows: list[float]) -> np.ndarray:
    """Return log-probabilities (T,1,4) of these distributions over END, A, B, C."""
    return np.log(np.array(rows, np.float32))[:, None]


def test_the_end_stops_a_text_and_counts_for_its_confidence() -> None:
    reading = attention_decode(
        logits([0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.6, 0.2], [0.5, 0.2, 0.2, 0.1], [0.1, 0.1, 0.1, 0.7]), ALPHABET
    )[0]
    assert reading.text == "AB"
    assert reading.character_confidences == pytest.approx((0.7, 0.6))
    assert reading.confidence == pytest.approx(0.7 * 0.6 * 0.5)


def test_repeats_are_kept_and_a_text_may_be_empty_or_never_end() -> None:
    a, end = [0.1, 0.7, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1]
    assert attention_decode(logits(a, a, end), ALPHABET)[0].text == "AA"
    nothing = attention_decode(logits(end, a), ALPHABET)[0]
    assert (nothing.text, nothing.character_confidences) == ("", ())
    assert nothing.confidence == pytest.approx(0.7)
    assert attention_decode(logits(a, a, a), ALPHABET)[0].text == "AAA"


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(-50, 50))
def test_logits_and_log_probabilities_read_alike(seed: int, steps: int, shift: float) -> None:
    values = np.random.default_rng(seed).normal(size=(steps, 3, 4)).astype(np.float32)
    for one, other in zip(attention_decode(values, ALPHABET), attention_decode(values + np.float32(shift), ALPHABET)):
        assert one.text == other.text
        assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


@pytest.mark.parametrize("method", DECODERS)
def test_the_best_classes_alone_read_as_all_of_them(method: str) -> None:
    values = np.random.default_rng(1).normal(size=(7, 20, 4)).astype(np.float32)
    assert step_reader_of(method)(*best_steps(values), ALPHABET) == decoder_of(method)(values, ALPHABET)


def test_a_decoder_takes_no_samples_as_well() -> None:
    for decode in DECODERS.values():
        assert decode(np.zeros((4, 0, 4), np.float32), ALPHABET) == []
