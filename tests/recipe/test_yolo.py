"""Detection in a recipe: what ultralytics' loop cannot do is said before anything is prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.recipe.load import load_recipe

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "tiny" / "handwriting_yolo.yaml"
WHOLE = ROOT / "recipes" / "handwriting_yolo.yaml"


def test_a_detector_has_its_network_and_its_losses_without_a_word():
    recipe = load_recipe(RECIPE)
    assert recipe.model.network == "yolo"
    assert {loss.term: loss.weight for loss in recipe.stages[0].losses} == {"box": 7.5, "cls": 0.5, "dfl": 1.5}
    assert not recipe.augmentation.horizontal_flip
    assert recipe.model.mosaic == 0


def test_the_guides_two_profiles():
    small, large = (load_recipe(WHOLE, profile=name) for name in ("rtx3050", "production"))
    assert (small.stages[0].batch_size, small.model.imgsz, small.model.accumulate) == (2, 512, 8)
    assert (small.runtime.loader_workers, small.runtime.gpus_per_worker, small.stages[0].epochs) == (2, 1, 50)
    assert (large.stages[0].batch_size, large.model.imgsz, large.model.accumulate) == (4, 640, 4)
    assert (large.stages[0].epochs, large.stages[0].early_stop.patience_epochs) == (100, 15)


@pytest.mark.parametrize(
    ("overrides", "code", "message"),
    [
        (["stages.main.epochs=null", "stages.main.steps=10"], "GY073", "steps 10"),
        (["augmentation.blur_sigma_px=1"], "GY074", "blur_sigma_px"),
        (["augmentation.horizontal_flip=true"], "GY001", "horizontal_flip"),
        (["export.targets=[{name: orin_nano_jp62}]"], "GY075", "targets"),
        (["stages.main.guards=[{metric: map, min: 0.1, action: rollback}]"], "GY078", "rollback"),
        (["stages.main.optimizer={name: sgd, nesterov: false}"], "GY085", "nesterov false"),
        (["stages.main.optimizer={name: sgd, momentum: 0}"], "GY085", "momentum 0"),
        (["stages.main.select=cer"], "GY062", "cer"),
        (["model={network: crnn}"], "GY056", "crnn"),
        (["stages.main.losses=[{term: ctc}]"], "GY050", "ctc"),
        (["stages.main.train=[generator]"], "GY061", "generator"),
    ],
)
def test_what_cannot_be_is_refused(overrides, code, message):
    with pytest.raises(BadInput, match=rf"\[{code}.*{message}"):
        load_recipe(RECIPE, overrides)


def test_a_canvas_is_a_multiple_of_the_networks_steps():
    with pytest.raises(BadInput, match="multiple of 32"):
        load_recipe(RECIPE, ["model.imgsz=200"])


def test_floors_of_readings_do_not_judge_a_detector(tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text("name: floors\nthresholds: [{metric: map50, above: 0.5}]\nslice_floors: {source: 0.5}\n")
    with pytest.raises(BadInput, match=r"\[GY079\].*slice_floors of suite 'floors'"):
        load_recipe(RECIPE, [f"evaluate.suite={suite}"])
