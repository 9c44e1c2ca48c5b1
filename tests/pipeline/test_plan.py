"""The plan of a stage: its steps are those that training takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from glyphyard.pipeline.plan import plan_of, stage_plan
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.stage import StageConfig


def test_an_epoch_of_hard_mining_is_as_long_as_the_ingest_makes_it() -> None:
    def rows(**stage: Any) -> int:
        return stage_plan(StageConfig.model_validate({"epochs": 1, **stage}), 1000).rows_per_epoch

    weighted = {"mode": "weighted", "weights": {"a": 1.0}, "samples_per_epoch": 200}
    assert rows(hard_mining={}) == 1000
    assert rows(hard_mining={}, sampling=weighted) == 200
    assert rows(hard_mining={"rows_per_epoch": 50}, sampling=weighted) == 50
    assert rows(hard_mining={"rows_per_epoch": 400}, sampling=weighted) == 200


@pytest.mark.parametrize(("layout", "wrong"), [("brazilian", False), ("mercosur", True), ("none", False)])
def test_drawn_plates_that_the_layout_cannot_hold_are_told_before_the_run(layout: str, wrong: bool, tmp_path: Path) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "lpsr_progressive.yaml"
    plan = plan_of(load_recipe(recipe, [f"model.generator.pyramid.layout={layout}"]), tmp_path)
    assert any("GY054" in finding for finding in plan.first_findings) == wrong
    assert any("the run would stop" in line for line in plan.warnings if "synthetic" in line) == wrong
