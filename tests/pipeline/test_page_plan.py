"""The plan of a recipe over pages: exact rows, regions by class, and nothing drawn or trained."""

from __future__ import annotations

from pathlib import Path

from dark_pages import dark_recipe, random_places, write_pages

from glyphyard.core.capacity import Capacity
from glyphyard.data.prepare_pages import prepare_pages
from glyphyard.pipeline.plan import plan_of


def test_pages_are_counted_by_split_and_class(tmp_path: Path) -> None:
    sides = {"train": random_places(9, 1), "val": random_places(4, 2), "test": random_places(3, 3)}
    recipe = dark_recipe(write_pages(tmp_path / "pages", sides))
    plan = plan_of(recipe, tmp_path / "store")
    assert plan.rows == {"train": 9, "validation": 4, "test": 3}
    assert plan.rows_are_exact
    assert plan.labels["regions"]["handwriting"] > 30
    assert plan.stages[0].steps_per_epoch == 3
    assert plan.dataset_prepared is None
    assert not plan.warnings
    folder = prepare_pages(recipe.dataset, Capacity(300), tmp_path / "store", in_process=True)
    assert plan_of(recipe, tmp_path / "store").dataset_prepared == str(folder)


def test_drawn_pages_are_counted_and_not_drawn(tmp_path: Path) -> None:
    drawn = {"kind": "synthetic_pages", "name": "drawn", "count": 4000}
    recipe = dark_recipe(tmp_path, dataset={"sources": [drawn]})
    plan = plan_of(recipe, tmp_path)
    assert sum(plan.rows.values()) == 4000
    assert plan.rows["train"] > plan.rows["test"] > 0
    assert plan.labels["drawn"] == 4000


def test_a_split_that_would_be_empty_is_a_warning(tmp_path: Path) -> None:
    folder = write_pages(tmp_path / "pages", {"train": random_places(3, 1), "test": random_places(2, 3)})
    assert "the validation split would be empty" in plan_of(dark_recipe(folder), tmp_path / "store").warnings
