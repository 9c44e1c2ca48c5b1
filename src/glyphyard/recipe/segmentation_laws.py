"""Laws of task segmentation: the canvas, what can be asked of a network that only finds, and where it can run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from glyphyard.recipe.breach import Breach
from glyphyard.recipe.maskrcnn import MaskRcnnConfig

if TYPE_CHECKING:
    from glyphyard.recipe.recipe import Recipe

LEAST_CANVAS_PX = 32
READING = ("cer", "exact_match", "length_accuracy", "coverage_at_99_precision")


def canvas_is_in_colour(recipe: Recipe) -> Iterator[Breach]:
    """GY080: the canvas of task segmentation has 3 channels, is scaled linearly and is 32 px or more on each side."""
    image = recipe.dataset.image
    if recipe.task != "segmentation":
        return
    if image.channels != 3 or image.interpolation != "linear":
        problem = f"image of {image.channels} channel(s), scaled {image.interpolation}, against task segmentation"
        yield Breach(("dataset", "image"), problem, "use `channels: 3` and `interpolation: linear`")
    if min(image.height, image.width) < LEAST_CANVAS_PX:
        problem = f"image {image.height}x{image.width} against a canvas of at least {LEAST_CANVAS_PX} px on each side"
        yield Breach(("dataset", "image"), problem, "make it larger")


def only_readers_are_judged_by_reading(recipe: Recipe) -> Iterator[Breach]:
    """GY081: with `classes: binary` characters are found and not told apart, so nothing can be judged that has to be read."""
    model = recipe.model
    if recipe.task != "segmentation" or not isinstance(model, MaskRcnnConfig) or model.classes != "binary":
        return
    asked = [t.metric for t in recipe.suite.thresholds] if recipe.suite else []
    asked += list(recipe.suite.regression.tolerance) if recipe.suite else []
    asked += ["exact_match"] if recipe.suite and recipe.suite.slice_floors else []
    places: list[tuple[tuple[str | int, ...], str]] = [(("evaluate", "suite"), metric) for metric in asked]
    for i, stage in enumerate(recipe.stages):
        places += [(("stages", i, "select"), stage.select)]
        places += [(("stages", i, "guards", n, "metric"), guard.metric) for n, guard in enumerate(stage.guards)]
    for at, metric in places:
        if metric.removeprefix("raw_") in READING:
            remedy = "use map50 or mask_map50, or `model.classes: alphabet`"
            yield Breach(at, f"`{metric}` against `model.classes: binary`, which reads nothing", remedy)


def masks_run_in_onnx_runtime(recipe: Recipe) -> Iterator[Breach]:
    """GY082: Mask R-CNN is shipped for ONNX Runtime only; TensorRT has no plan for its graph."""
    if recipe.model.network == "maskrcnn" and recipe.export.targets:
        names = [target.name for target in recipe.export.targets]
        yield Breach(("export", "targets"), f"TensorRT targets {names} against network maskrcnn", "leave `export.targets` out")


SEGMENTATION_LAWS = (canvas_is_in_colour, only_readers_are_judged_by_reading, masks_run_in_onnx_runtime)
