"""Every law is seen to be broken, with its code and both values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.recipe.laws import LAWS
from glyphyard.recipe.load import load_recipe

Write = Callable[..., Path]
TWO_STAGES = "stages:\n  - {name: main, epochs: 1}"
BREACHES = [
    ("GY001", ["augmentation.horizontal_flip=true"], ["horizontal_flip", "recognition"]),
    ("GY002", ["stages=[{name: a, epochs: 1}, {name: a, epochs: 1}]"], ["'a'"]),
    ("GY003", ["stages.0.steps=5"], ["epochs=2", "steps=5"]),
    ("GY004", ["stages.0.sampling={mode: weighted, weights: {other: 1}}"], ["other", "made"]),
    ("GY005", ["dataset.split.test=0"], ["test split", "share 0"]),
    ("GY006", ["runtime.workers=3"], ["batch_size 32", "3 workers"]),
    ("GY007", ["dataset.image.height=40"], ["40x128", "16x4"]),
    ("GY008", ["stages.0.freeze=[model]"], ["model", "freeze"]),
    ("GY009", ["dataset.equivalences=['00']"], ["'00'"]),
    ("GY010", ["stages.0.init=somewhere"], ["somewhere"]),
    ("GY013", ["register.tracking_uri='https://me:secret@example.org/'"], ["tracking_uri", "MLFLOW_TRACKING_PASSWORD"]),
    ("GY011", ["dataset.equivalences=['1I']"], ["1I", "little"]),
]


@pytest.mark.parametrize(("code", "overrides", "words"), BREACHES, ids=[b[0] for b in BREACHES])
def test_a_broken_law_prints_its_code_and_both_sides(
    write_recipe: Write, code: str, overrides: list[str], words: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe(), overrides)
    assert f"[{code}]" in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_threshold_needs_one_bound(write_recipe: Write) -> None:
    path = write_recipe()
    suite = path.with_name("suite.yaml")
    suite.write_text(suite.read_text().replace("below: 0.05", "below: 0.05, above: 0.01"))
    with pytest.raises(BadInput, match=r"\[GY012\].*below=0.05.*above=0.01"):
        load_recipe(path)


def test_every_law_has_a_code_of_its_own_and_a_test() -> None:
    codes = [(law.__doc__ or "").partition(":")[0] for law in LAWS]
    assert len(set(codes)) == len(codes)
    assert set(codes) == {code for code, _, _ in BREACHES} | {"GY012"}


def test_a_password_is_refused_without_being_told(write_recipe: Write) -> None:
    with pytest.raises(BadInput) as caught:
        load_recipe(write_recipe("evaluate:", "register:\n  tracking_uri: https://me:secret@example.org/\nevaluate:"))
    assert "secret" not in str(caught.value)
