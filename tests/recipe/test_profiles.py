"""Profiles: named changes of a recipe, laid onto it before overrides, and resolved away."""

from __future__ import annotations

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.recipe.load import load_recipe

PROFILES = """
profiles:
  small:
    runtime: {workers: 2}
    stages.main.batch_size: 4
    dataset:
      split: {test: 0.3}
  broken:
    stages.main.batch_sise: 4
  wrong:
    runtime: {workers: many}
"""


def test_a_profile_merges_parts_and_assigns_dotted_names(write_recipe):
    recipe = load_recipe(write_recipe("", PROFILES), profile="small")
    assert (recipe.runtime.workers, recipe.stages[0].batch_size, recipe.stages[0].lr) == (2, 4, 1e-3)
    assert (recipe.dataset.split.test, recipe.dataset.split.validation) == (0.3, 0.1)


def test_without_the_option_nothing_changes(write_recipe):
    plain = load_recipe(write_recipe())
    assert load_recipe(write_recipe("", PROFILES)) == plain


def test_overrides_win_over_a_profile(write_recipe):
    recipe = load_recipe(write_recipe("", PROFILES), ["stages.main.batch_size=6"], profile="small")
    assert recipe.stages[0].batch_size == 6


def test_a_run_knows_only_what_came_of_it(write_recipe):
    chosen = load_recipe(write_recipe("", PROFILES), profile="small")
    by_hand = load_recipe(write_recipe(), ["stages.main.batch_size=4", "dataset.split.test=0.3", "runtime.workers=2"])
    assert chosen.fingerprint == by_hand.fingerprint
    assert "profiles" not in chosen.to_json()


def test_profiles_are_inherited_and_merged(write_recipe, tmp_path):
    write_recipe("", PROFILES)
    child = tmp_path / "child.yaml"
    child.write_text("extends: little.yaml\nprofiles:\n  small:\n    runtime: {workers: 1}\n")
    recipe = load_recipe(child, profile="small")
    assert (recipe.runtime.workers, recipe.stages[0].batch_size) == (1, 4)


def test_paths_of_a_profile_start_at_its_file(write_recipe, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write_recipe("", "\nprofiles:\n  on:\n    stages.main.init: best.pt\n    stages.main.start: finetune\n")
    (tmp_path / "best.pt").write_bytes(b"")
    assert load_recipe(path, profile="on").stages[0].init == str(tmp_path / "best.pt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", r"--profile smal: no such profile.*small, broken, wrong.*did you mean small"),
        ("broken", r"little\.yaml:23:.*batch_sise.*did you mean `batch_size`"),
        ("wrong", r"little\.yaml:25:.*runtime\.workers"),
    ],
)
def test_a_mistake_is_told_where_it_stands(write_recipe, name, message):
    with pytest.raises(BadInput, match=message):
        load_recipe(write_recipe("", PROFILES), profile=name)


@pytest.mark.parametrize("profiles", ["profiles: 3\n", "profiles: {small: 3}\n", "profiles: [a]\n"])
def test_profiles_of_another_shape_are_one_line(write_recipe, profiles):
    with pytest.raises(BadInput, match="expected names with changes below them"):
        load_recipe(write_recipe("", "\n" + profiles))


def test_a_recipe_without_profiles_says_so(write_recipe):
    with pytest.raises(BadInput, match="it has none"):
        load_recipe(write_recipe(), profile="small")
