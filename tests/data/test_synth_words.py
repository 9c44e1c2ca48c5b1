"""Made-up handwriting: the same line every time, in the alphabet it is for, and harder where it is asked to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glyphyard.core.capacity import Capacity
from glyphyard.data.prepare import prepare
from glyphyard.data.sources import list_rows
from glyphyard.data.synth_words import render_words, words_of
from glyphyard.recipe.dataset import DatasetConfig, ImageConfig, SyntheticWords
from glyphyard.recipe.load import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "tiny" / "handwriting_crnn.yaml"


def words(**fields: object) -> SyntheticWords:
    return SyntheticWords.model_validate({"kind": "synthetic_words", "name": "words", "count": 12} | fields)


def test_a_line_is_the_same_every_time_and_shows_its_text() -> None:
    one, again = render_words(3, 7), render_words(3, 7)
    np.testing.assert_array_equal(one.image_bgr, again.image_bgr)
    assert one.text == words_of(3, 7)
    assert one.image_bgr.dtype == np.uint8
    assert not np.array_equal(one.image_bgr.shape, render_words(3, 8).image_bgr.shape)
    assert one.image_bgr.min() < 120 < 200 < np.median(one.image_bgr)  # ink on paper


def test_the_recipes_alphabet_spells_every_line() -> None:
    alphabet = load_recipe(RECIPE).dataset.the_alphabet()
    texts = [words_of(1, i) for i in range(3000)]
    assert not [text for text in texts if alphabet.unknown(text) or not 3 <= len(text) <= 40]
    assert len(set(texts)) > 1500
    assert set("äöüß -().") <= set("".join(texts))


def test_difficulty_bends_the_same_line() -> None:
    easy, hard = render_words(3, 7, 0.0), render_words(3, 7, 1.0)
    assert easy.text == hard.text
    assert easy.image_bgr.shape != hard.image_bgr.shape or not np.array_equal(easy.image_bgr, hard.image_bgr)


def test_rows_are_listed_without_drawing_and_prepared_as_listed(tmp_path: Path) -> None:
    rows = list_rows(words(seed=3))
    assert [row.text_raw for row in rows] == [words_of(3, i) for i in range(12)]
    assert len(list_rows(words(), limit=2)) == 2
    recipe = load_recipe(RECIPE)
    dataset = DatasetConfig(
        alphabet=recipe.dataset.alphabet, case="keep", drop="", image=ImageConfig(height=64, width=256), sources=(words(seed=3),)
    )
    said: list[str] = []
    prepare(dataset, Capacity(64), tmp_path, in_process=True, say=said.append)
    assert "0 bad rows" in said[-1]
    prepare(dataset, Capacity(64), tmp_path, in_process=True, say=said.append)
    assert "(cached)" in said[-1]
