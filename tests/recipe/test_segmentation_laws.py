"""Recipes of task segmentation that contradict themselves are refused, with a code."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.recipe.load import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
TINY = RECIPES / "tiny" / "character_maskrcnn.yaml"


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        (["dataset.image.channels=1"], "GY080"),
        (["dataset.image.interpolation=cubic"], "GY080"),
        (["dataset.image.height=16"], "GY080"),
        (["stages.main.select=cer"], "GY081"),
        (["stages.main.guards=[{metric: exact_match, min: 0.1}]"], "GY081"),
        (["export.targets=[{name: orin_nx_jp62}]"], "GY082"),
        (["stages.main.train=[generator]"], "GY061"),
        (["stages.main.select=psnr"], "GY062"),
        (["export.ngram=3"], "GY072"),
        (["dataset.sources=[{name: a, kind: synthetic_pages, count: 9}]"], "GY076"),
        (["stages.main.losses=[{term: ctc}]"], "GY050"),
    ],
)
def test_a_contradiction_has_a_code(overrides, code):
    with pytest.raises(BadInput, match=rf"\[{code}\]"):
        load_recipe(TINY, overrides)


def test_a_suite_that_judges_reading_needs_classes_that_read(tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text("name: reads\nthresholds: [{metric: exact_match, above: 0.5}]\n")
    with pytest.raises(BadInput, match="GY081"):
        load_recipe(TINY, [f"evaluate.suite={suite}"])
    assert load_recipe(TINY, [f"evaluate.suite={suite}", "model.classes=alphabet"]).model.classes == "alphabet"
    suite.write_text("name: floors\nthresholds: [{metric: map50, above: 0.5}]\nslice_floors: {source: 0.5}\n")
    with pytest.raises(BadInput, match="GY081"):
        load_recipe(TINY, [f"evaluate.suite={suite}"])


def test_the_guides_settings_are_the_recipes():
    recipe = load_recipe(RECIPES / "character_maskrcnn.yaml")
    (stage,) = recipe.stages
    assert (recipe.seed, stage.batch_size, stage.lr, stage.epochs) == (15107, 2, 0.005, 10)
    assert stage.optimizer.model_dump() == {"name": "sgd", "weight_decay": 5e-4, "momentum": 0.9, "nesterov": False}
    assert (stage.schedule.name, stage.schedule.step_epochs, stage.schedule.factor) == ("step", 3, 0.1)
    assert (recipe.model.backbone, recipe.model.classes) == ("resnet50", "binary")


def test_the_cpu_profile_is_the_light_one():
    recipe = load_recipe(RECIPES / "character_maskrcnn.yaml", profile="cpu")
    assert (recipe.model.backbone, recipe.model.pretrained) == ("light", None)
    assert recipe.stages[0].optimizer.name == "adamw"
