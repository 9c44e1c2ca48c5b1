"""The run store: no run meets another's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import write_json
from glyphyard.pipeline.store import list_runs, new_run, only_one, only_stage_of, open_run, recipe_of, worth_keeping
from glyphyard.recipe.load import load_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "tiny" / "florida_crnn.yaml"


def test_two_runs_of_one_recipe_have_two_folders(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPE)
    first, second = new_run(recipe, tmp_path), new_run(recipe, tmp_path)
    assert first != second
    assert set(list_runs(tmp_path)) == {first, second}
    assert recipe_of(first) == recipe
    assert recipe_of(first).suite == recipe.suite


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    folder = new_run(load_recipe(RECIPE), tmp_path)
    assert open_run(folder.name, tmp_path) == open_run(str(folder), tmp_path) == folder
    with pytest.raises(BadInput, match=folder.name):
        open_run("nothing", tmp_path)


def test_a_run_of_one_stage_says_so(tmp_path: Path) -> None:
    recipe = load_recipe(RECIPE)
    assert only_stage_of(new_run(recipe, tmp_path, "main")) == "main"
    assert only_stage_of(new_run(recipe, tmp_path)) is None


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    folder = new_run(load_recipe(RECIPE), tmp_path)
    with only_one(folder), pytest.raises(BadInput, match="another process"), only_one(folder):
        pass
    with only_one(folder):
        pass


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="file"):
        new_run(load_recipe(RECIPE), tmp_path / "file" / "runs")


@pytest.mark.parametrize(("done", "error", "kept"), [(0, BadInput, False), (1, BadInput, True), (0, StepFailed, True)])
def test_a_refused_run_stays_only_if_a_step_was_done(tmp_path: Path, done: int, error: type[Exception], kept: bool) -> None:
    folder = new_run(load_recipe(RECIPE), tmp_path)
    for i in range(done):
        write_json(folder / "steps" / f"{i}.json", {})
    with pytest.raises(error), worth_keeping(folder), only_one(folder):
        raise error("somewhere", "something is wrong")
    assert folder.exists() == kept
