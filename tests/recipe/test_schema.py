"""The schema that editors use and the reference that people read."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from glyphyard.recipe.schema import json_schema, reference

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_hold_against_the_json_schema(path: Path) -> None:
    raw = YAML(typ="safe").load(path)
    if "extends" in raw or "sweeps" in path.parts:
        pytest.skip("half a recipe is not meant to hold alone")
    jsonschema.validate(raw, json_schema())


def test_the_schema_refuses_an_unknown_key() -> None:
    raw = YAML(typ="safe").load(ROOT / "recipes" / "florida_crnn.yaml")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw | {"sede": 1}, json_schema())


def test_sweep_ranges_stand_beside_the_fields() -> None:
    assert json_schema()["$defs"]["StageConfig"]["properties"]["lr"]["sweep"]["scale"] == "log"


def test_the_reference_in_docs_is_the_one_the_code_makes() -> None:
    assert (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8") == reference(), "run `make docs`"
