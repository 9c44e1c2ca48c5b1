"""The real handwritten names, where they are: every writer on one side, every test name spelt by the recipe's alphabet."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.data.audit import audit_labels
from glyphyard.data.findings import unused_rows
from glyphyard.recipe.load import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "handwriting_crnn.yaml"


@pytest.mark.real_data
def test_writers_are_disjoint_and_no_test_name_is_left_out(real_data: Path) -> None:
    names = real_data / "handwriting_names"
    overrides = [
        f"dataset.sources.{split}.{key}={names / path}"
        for split in ("train", "validation", "test")
        for key, path in (("labels", f"written_name_{split}.csv"), ("images", split))
    ]
    recipe = load_recipe(RECIPE, overrides)
    audit = audit_labels(recipe.dataset, recipe.model.capacity(recipe.dataset.image.width))
    writers = {
        split: {row.meta["writer"] for row in audit.rows if row.source == split} for split in ("train", "validation", "test")
    }
    assert {split: len(found) for split, found in writers.items()} == {"train": 22, "validation": 3, "test": 4}
    assert len(set.union(*writers.values())) == 29
    unused = [audit.rows[i].source for i in unused_rows(audit.findings)]
    assert set(unused) == {"train"}
    assert len(unused) < 10
