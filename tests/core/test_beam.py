"""The constrained decoder against all strings, tried one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glyphyard.core.alphabet import BLANK, Alphabet
from glyphyard.core.beam import aligned_peaks, best_ids, grammar_decode
from glyphyard.core.ctc import greedy_decode, softmax
from glyphyard.core.errors import BadInput
from glyphyard.core.grammar import parse_grammar

SMALL = Alphabet("AB1")
PLATES = Alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
LAYOUTS = ["L", "LD", "LLD", "LD|DL", "D|LL", "??", "[A1]L"]


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(c for i, c in enumerate(path) if c != BLANK and (i == 0 or path[i - 1] != c))


def sums(logs_TC: np.ndarray) -> dict[tuple[int, ...], float]:
    """Return the probability of every string, summed over all paths that spell it."""
    total: dict[tuple[int, ...], float] = {}
    for path in product(range(logs_TC.shape[1]), repeat=len(logs_TC)):
        p = float(np.exp(sum(logs_TC[t, c] for t, c in enumerate(path))))
        total[collapse(path)] = total.get(collapse(path), 0.0) + p
    return total


@settings(max_examples=60)
@given(hnp.arrays(np.float32, (4, 4), elements=st.floats(-4, 4, width=32)), st.sampled_from(LAYOUTS))
def test_the_best_string_that_obeys_is_found(logits: np.ndarray, layout: str) -> None:
    logs = np.log(softmax(logits))
    grammar = parse_grammar(layout, SMALL)
    allowed = {ids: p for ids, p in sums(logs).items() if grammar.fits(ids)}
    found = best_ids(logs, grammar, beam=100)
    assert found is not None
    assert allowed[found] == pytest.approx(max(allowed.values()), rel=1e-4)


@settings(max_examples=60)
@given(hnp.arrays(np.float32, (9, 2, 4), elements=st.floats(-4, 4, width=32)), st.sampled_from(LAYOUTS))
def test_every_reading_obeys_and_has_confidences(logits: np.ndarray, layout: str) -> None:
    grammar = parse_grammar(layout, SMALL)
    for reading, greedy in zip(grammar_decode(logits, SMALL, grammar), greedy_decode(logits, SMALL), strict=True):
        assert grammar.fits(SMALL.encode(reading.text))
        assert len(reading.character_confidences) == len(reading.text)
        assert 0 <= reading.confidence <= 1
        assert reading.confidence == pytest.approx(np.prod(reading.character_confidences))
        if grammar.fits(SMALL.encode(greedy.text)):
            assert reading == greedy


@settings(max_examples=40)
@given(hnp.arrays(np.float32, (5, 4), elements=st.floats(-4, 4, width=32)), st.lists(st.integers(1, 3), min_size=1, max_size=2))
def test_peaks_are_those_of_the_best_path(logits: np.ndarray, ids: list[int]) -> None:
    logs = np.log(softmax(logits))
    spelling = [path for path in product(range(4), repeat=5) if collapse(path) == tuple(ids)]
    scores = [sum(logs[t, c] for t, c in enumerate(path)) for path in spelling]
    best = spelling[int(np.argmax(scores))]
    runs: list[list[int]] = []
    for t, c in enumerate(best):
        if c != BLANK and (t == 0 or best[t - 1] != c):
            runs.append([])
        if c != BLANK:
            runs[-1].append(t)
    expected = [max(logs[t, best[t]] for t in run) for run in runs]
    if np.ptp(np.sort(scores)[-2:]) > 1e-5 or len(scores) == 1:
        assert aligned_peaks(logs, tuple(ids)) == pytest.approx(expected, rel=1e-4)


def seen(text: str, doubts: dict[int, str], alphabet: Alphabet = PLATES) -> np.ndarray:
    """Return (T,1,C) log-probabilities that read `text`, with a second thought at some places."""
    logits = np.full((3 * len(text), 1, alphabet.num_classes), -9.0, np.float32)
    for i, c in enumerate(text):
        logits[3 * i, 0, alphabet.encode(c)] = 3.0
        if i in doubts:
            logits[3 * i, 0, alphabet.encode(doubts[i])] = 2.5
        logits[3 * i + 1 : 3 * i + 3, 0, BLANK] = 3.0
    return np.log(softmax(logits))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("LLLDDD", "ABO012"),
        ("LLLDDD|LLDDDD", "AB0012"),
        ("LLDDDD", "AB0012"),
        (["LLDDDD", "DDDD"], "AB0012"),
        ("??????", "AB0012"),
    ],
)
def test_a_layout_settles_what_the_eye_cannot(layout: str, expected: str) -> None:
    logits = seen("AB0012", {2: "O"})
    assert greedy_decode(logits, PLATES)[0].text == "AB0012"
    reading = grammar_decode(logits, PLATES, parse_grammar(layout, PLATES))[0]
    assert reading.text == expected
    assert reading.character_confidences[2] < 0.7 < reading.character_confidences[0]


def test_a_folded_letter_may_stand_where_letters_do() -> None:
    folded = Alphabet(PLATES.characters.replace("O", ""), {"O": "0"})
    grammar = parse_grammar("LD", folded)
    assert grammar.fits(folded.encode("O1"))
    assert grammar.fits(folded.encode("01"))
    assert not grammar.fits(folded.encode("11"))


def test_too_few_steps_give_an_empty_reading_without_confidence() -> None:
    logits = np.zeros((3, 1, PLATES.num_classes), np.float32)
    reading = grammar_decode(logits, PLATES, parse_grammar("LLLDDD", PLATES))[0]
    assert (reading.text, reading.confidence) == ("", 0.0)


def test_a_long_plate_of_noise_still_obeys() -> None:
    noise = np.random.default_rng(3).normal(size=(32, 20, PLATES.num_classes)).astype(np.float32) * 3
    grammar = parse_grammar("LLLDDDD|LLLDLDD", PLATES)
    assert all(grammar.fits(PLATES.encode(r.text)) for r in grammar_decode(noise, PLATES, grammar))


@pytest.mark.parametrize("layout", ["", "LL|", [], "LXZ", "[", "[]", "L-D", "[ab]", "l"])
def test_a_layout_that_makes_no_sense_is_refused(layout: str | list[str]) -> None:
    with pytest.raises(BadInput, match="layout"):
        parse_grammar(layout, PLATES)


def test_a_hyphen_of_the_alphabet_may_stand_in_a_layout() -> None:
    dashed = Alphabet("-0A")
    assert parse_grammar("L-D", dashed).fits(dashed.encode("A-0"))
