"""The layouts that each family promises, and the light and dirt that it is seen under."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from glyphyard.data.synth import FAMILIES, plate_text, render_plate
from glyphyard.data.synth.families import CATALOGUE
from glyphyard.data.synth.texts import WORDS

SAMPLE = 3000


def texts(family: str) -> list[str]:
    return [plate_text(0, index, family) for index in range(SAMPLE)]


def shape(text: str) -> str:
    return re.sub("[0-9]", "D", re.sub("[A-Z]", "L", text))


def test_brazil_is_three_letters_and_four_digits() -> None:
    assert all(re.fullmatch("[A-Z]{3}[0-9]{4}", text) for text in texts("brazil"))


def test_florida_issues_its_layouts_and_no_letter_o() -> None:
    found = texts("florida")
    shapes = Counter(shape(text) for text in found)
    assert {"LLLLDD", "LLLDDD", "DDDLLL", "LDDDLL", "LLDDLL"} <= set(shapes)
    assert not any("O" in text for text in found)


def test_us_lengths_run_from_three_to_eight_with_six_the_commonest() -> None:
    lengths = Counter(len(text) for text in texts("us"))
    assert set(lengths) <= {3, 4, 5, 6, 7, 8}
    assert min(lengths) == 3
    assert lengths.most_common(1)[0][0] == 6
    assert 0.15 < lengths[7] / SAMPLE < 0.45


def test_a_third_of_the_words_on_us_plates_stand_in_no_dictionary() -> None:
    words = [text for text in texts("us") if text.isalpha()]
    coined = [text for text in words if not any(text[:3] in word for word in WORDS)]
    assert len(words) > 0.05 * SAMPLE
    assert 0.3 < len(coined) / len(words) < 0.7


@pytest.mark.parametrize("family", FAMILIES)
def test_every_character_of_the_alphabet_occurs(family: str) -> None:
    missing = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") - set("".join(texts(family)))
    assert missing <= ({"O"} if family == "florida" else set())


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_hardly_repeat(family: str) -> None:
    assert len(set(texts(family))) > 0.9 * SAMPLE


@pytest.mark.parametrize("family", FAMILIES)
def test_every_style_has_layouts_whose_marks_follow_a_character(family: str) -> None:
    names = [style.name for style, _ in CATALOGUE[family].styles]
    assert len(names) == len(set(names))
    for style, weight in CATALOGUE[family].styles:
        assert weight > 0
        assert style.patterns
        for pattern, share in style.patterns:
            assert share > 0, style.name
            assert re.fullmatch(r"[A-Z0-9#]([ .*-]?[A-Z0-9#])*", pattern), (style.name, pattern)


def test_florida_is_seen_by_day_by_night_and_in_infrared_with_every_flaw() -> None:
    seen = [render_plate(1, index, "florida").meta for index in range(150)]
    assert {meta["light"] for meta in seen} == {"day", "night", "ir"}
    assert {meta["weather"] for meta in seen} == {"clear", "dirt", "shade", "rain"}
    assert {meta["blur"] for meta in seen} == {"none", "focus", "motion"}
    assert {meta["resolution"] for meta in seen} == {"low", "medium", "high"}
