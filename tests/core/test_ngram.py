"""The n-gram is a distribution whatever came before, likes what it was taught, and is read back only if it is whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput
from glyphyard.core.ngram import Ngram, learn_ngram

ALPHABET = Alphabet("abcdefg ")
TEXTS = ["abc abc", "abd", "bad cab", "face", "add", "abc"]
MODEL = learn_ngram(TEXTS, 4, ALPHABET)
texts = st.text(ALPHABET.characters, max_size=8)


@given(texts)
def test_whatever_follows_has_probability_one_together(text: str) -> None:
    logs = MODEL.log_probabilities(text)
    assert logs.shape == (ALPHABET.num_classes,)
    assert np.exp(logs).sum() == pytest.approx(1)
    assert np.isfinite(logs).all()  # what was never seen stays possible


def test_what_was_taught_is_likelier_than_its_letters_in_another_order() -> None:
    assert MODEL.log_probability("abc") > MODEL.log_probability("cba") + 2
    assert MODEL.perplexity(TEXTS) < 3 < MODEL.perplexity(["gfe", "ggg"])


def test_the_longest_known_context_decides() -> None:
    after_ab = np.exp(MODEL.log_probabilities("ab"))
    assert after_ab[ALPHABET.characters.index("c") + 1] > 0.5  # "abc" four times, "abd" once
    assert np.exp(MODEL.log_probabilities("abc"))[0] > 0.4  # and then it often ends


def test_an_order_of_one_knows_frequencies_only() -> None:
    single = learn_ngram(TEXTS, 1, ALPHABET)
    np.testing.assert_array_equal(single.log_probabilities("ab"), single.log_probabilities("g"))


def test_folded_characters_are_learnt_as_what_they_are_read_as() -> None:
    folded = Alphabet("0AB", {"O": "0"})
    assert learn_ngram(["AO"], 2, folded).grams == learn_ngram(["A0"], 2, folded).grams


def test_a_character_that_the_alphabet_does_not_hold_is_refused() -> None:
    with pytest.raises(BadInput, match="Z"):
        learn_ngram(["abZ"], 2, ALPHABET)


@given(texts)
def test_json_keeps_every_probability(text: str) -> None:
    again = Ngram.from_json(MODEL.to_json(), ALPHABET, "ngram.json")
    np.testing.assert_array_equal(again.log_probabilities(text), MODEL.log_probabilities(text))


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"order": 2, "grams": {}},
        MODEL.to_json() | {"schema_version": 2},
        MODEL.to_json() | {"order": 40},
        MODEL.to_json() | {"order": "4"},
        MODEL.to_json() | {"grams": {"abc": 1}},
        MODEL.to_json() | {"grams": {"abcZ": 1}},
        MODEL.to_json() | {"grams": {"abca": -1}},
        MODEL.to_json() | {"grams": {"abca": 0.5}},
    ],
)
def test_a_forged_model_is_refused_by_its_file(value: object) -> None:
    with pytest.raises(BadInput, match=r"ngram\.json"):
        Ngram.from_json(value, ALPHABET, "ngram.json")
