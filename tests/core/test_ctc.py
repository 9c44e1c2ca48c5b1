"""CTC decoding against its definition, step by step."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glyphyard.core.alphabet import BLANK, Alphabet, steps_needed
from glyphyard.core.ctc import greedy_decode, softmax

ABC = Alphabet("ABC")
PATHS = st.lists(st.integers(0, 3), min_size=1, max_size=12)


def one_hot(path: list[int], peak: float = 5.0) -> np.ndarray:
    logits = np.zeros((len(path), 1, ABC.num_classes), np.float32)
    logits[np.arange(len(path)), 0, path] = peak
    return logits


@given(PATHS)
def test_repeats_collapse_and_blanks_drop(path: list[int]) -> None:
    expected = "".join(ABC.decode([i]) for i, _ in groupby(path) if i != BLANK)
    assert greedy_decode(one_hot(path), ABC)[0].text == expected


@given(st.text("ABC", max_size=8))
def test_the_steps_needed_are_enough_and_one_less_is_not(text: str) -> None:
    path: list[int] = []
    for i in ABC.encode(text):
        path += [BLANK, i] if path and path[-1] == i else [i]
    assert len(path) == steps_needed(text)
    if path:
        assert greedy_decode(one_hot(path), ABC)[0].text == text


@given(hnp.arrays(np.float32, (6, 3, 4), elements=st.floats(-8, 8, width=32)))
def test_confidences_are_the_peaks_of_each_characters_run(logits: np.ndarray) -> None:
    probabilities = softmax(logits)
    for n, reading in enumerate(greedy_decode(logits, ABC)):
        runs = groupby(range(6), key=lambda t, n=n: int(logits[t, n].argmax()))
        peaks = [max(float(probabilities[t, n].max()) for t in steps) for i, steps in runs if i != BLANK]
        assert reading.character_confidences == pytest.approx(peaks)
        assert len(reading.character_confidences) == len(reading.text)
        assert 0 <= reading.confidence <= 1
        if peaks:
            assert reading.confidence == pytest.approx(np.prod(peaks))


# Whole numbers: logarithms round, and which of two nearly equal classes wins is not what this is about.
@given(hnp.arrays(np.float32, (6, 3, 4), elements=st.integers(-8, 8).map(float)))
def test_logits_and_their_log_probabilities_read_alike(logits: np.ndarray) -> None:
    from_logits, from_logs = greedy_decode(logits, ABC), greedy_decode(np.log(softmax(logits)), ABC)
    assert [r.text for r in from_logits] == [r.text for r in from_logs]
    assert [r.confidence for r in from_logits] == pytest.approx([r.confidence for r in from_logs], rel=1e-4)


@given(hnp.arrays(np.float32, (6, 5, 4), elements=st.floats(-8, 8, width=32)))
def test_a_sequence_reads_the_same_alone_and_in_a_batch(logits: np.ndarray) -> None:
    together = greedy_decode(logits, ABC)
    assert together == [greedy_decode(logits[:, n : n + 1], ABC)[0] for n in range(5)]


def test_an_empty_text_can_be_sure_or_unsure() -> None:
    sure, unsure = (greedy_decode(one_hot([0] * 6, peak), ABC)[0] for peak in (9.0, 0.1))
    assert sure.text == unsure.text == ""
    assert sure.confidence > 0.99
    assert unsure.confidence < 0.5


def test_no_sequence_gives_no_reading() -> None:
    assert greedy_decode(np.zeros((6, 0, 4), np.float32), ABC) == []


def test_neither_huge_nor_infinite_numbers_overflow() -> None:
    assert softmax(np.array([1e30, 0.0, -np.inf])).tolist() == [1.0, 0.0, 0.0]
