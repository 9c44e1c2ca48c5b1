"""Alphabets: round trips, folding, and refusals instead of blanks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.alphabet import BLANK, Alphabet, fold_from_groups, text_policy
from glyphyard.core.errors import BadInput

PLATES = Alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
FOLDED = Alphabet("0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ", {"O": "0"})


@given(st.text(PLATES.characters))
def test_decoding_undoes_encoding_and_no_character_is_the_blank(text: str) -> None:
    ids = PLATES.encode(text)
    assert BLANK not in ids
    assert all(0 < i < PLATES.num_classes for i in ids)
    assert PLATES.decode(ids) == text


@given(st.text(PLATES.characters))
def test_folded_characters_are_read_as_the_one_they_fold_onto(text: str) -> None:
    assert FOLDED.decode(FOLDED.encode(text)) == text.replace("O", "0") == FOLDED.canonical(text)


@given(st.text(max_size=8))
def test_a_text_is_encoded_or_refused_with_its_unknown_characters(text: str) -> None:
    unknown = PLATES.unknown(text)
    assert unknown == list(dict.fromkeys(c for c in text if c not in PLATES.characters))
    if unknown:
        with pytest.raises(BadInput):
            PLATES.encode(text)
    else:
        assert len(PLATES.encode(text)) == len(text)


@pytest.mark.parametrize(("characters", "fold"), [("", {}), ("AAB", {}), ("AB", {"O": "0"})])
def test_what_is_no_alphabet_is_refused(characters: str, fold: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="alphabet"):
        Alphabet(characters, fold)


def test_groups_fold_onto_their_first_character() -> None:
    assert fold_from_groups(["0OQ", "1I"]) == {"O": "0", "Q": "0", "I": "1"}
    assert fold_from_groups([]) == {}


POLICIES = [
    str.maketrans(text_policy(equivalences, case))
    for equivalences, case in (((), "keep"), (("0O", "1I"), "keep"), ((), "ignore"), (("0O", "1Il"), "ignore"))
]


@given(st.text(max_size=12))
def test_a_text_policy_keeps_lengths_and_is_done_after_once(text: str) -> None:
    for policy in POLICIES:
        folded = text.translate(policy)
        assert len(folded) == len(text)
        assert folded.translate(policy) == folded


def test_case_and_equivalences_work_together() -> None:
    policy = str.maketrans(text_policy(["O0", "1I"], "ignore"))
    assert "o0Oil1ß".translate(policy) == "OOO1L1ß"
    assert "o0Oil1".translate(str.maketrans(text_policy(["O0", "1I"], "keep"))) == "oOOil1"
