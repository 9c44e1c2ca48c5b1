"""The plan of a stage: its steps are those that training takes."""

from __future__ import annotations

from typing import Any

from glyphyard.pipeline.plan import stage_plan
from glyphyard.recipe.stage import StageConfig


def test_an_epoch_of_hard_mining_is_as_long_as_the_ingest_makes_it() -> None:
    def rows(**stage: Any) -> int:
        return stage_plan(StageConfig.model_validate({"epochs": 1, **stage}), 1000).rows_per_epoch

    weighted = {"mode": "weighted", "weights": {"a": 1.0}, "samples_per_epoch": 200}
    assert rows(hard_mining={}) == 1000
    assert rows(hard_mining={}, sampling=weighted) == 200
    assert rows(hard_mining={"rows_per_epoch": 50}, sampling=weighted) == 50
    assert rows(hard_mining={"rows_per_epoch": 400}, sampling=weighted) == 200
