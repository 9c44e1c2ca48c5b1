"""Laws of tasks: the networks, the parts of them and the metrics that each task knows."""

from __future__ import annotations

from collections.abc import Iterator

from glyphyard.recipe.breach import Breach
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig

# By task: the networks it can train, their parts, and the metrics of a validation.
NETWORKS = {
    "recognition": ("crnn", "parseq"),
    "super_resolution": ("restorer",),
    "detection": ("yolo",),
    "segmentation": ("maskrcnn",),
}
PARTS = {
    "recognition": ("model",),
    "super_resolution": ("generator", "recogniser"),
    "detection": ("model",),
    "segmentation": ("model",),
}
METRICS = {
    "recognition": ("loss", "cer", "exact_match", "length_accuracy"),
    "super_resolution": ("loss", "psnr", "ssim", "word_acc", "char_acc"),
    "detection": ("loss", "map50", "map", "precision", "recall"),
    "segmentation": ("loss", "map50", "map", "mask_map50", "mask_map", "f1", "exact_match", "cer"),
}


def task_fits_the_network(recipe: Recipe) -> Iterator[Breach]:
    """GY056: a task trains the networks it knows: recognition crnn and parseq, super_resolution a restorer."""
    known = NETWORKS.get(recipe.task)
    if known and recipe.model.network not in known:
        problem = f"network {recipe.model.network!r} against task {recipe.task!r}"
        yield Breach(("model", "network"), problem, f"use {' or '.join(known)}")


def parts_are_the_networks(recipe: Recipe) -> Iterator[Breach]:
    """GY061: a stage trains and freezes parts that the network has: model, or generator and recogniser."""
    known = PARTS.get(recipe.task)
    for i, stage in enumerate(recipe.stages):
        for key in ("train", "freeze"):
            if known and (strangers := sorted(set(getattr(stage, key)) - set(known))):
                yield Breach(("stages", i, key), f"parts {strangers}, the network has {list(known)}", "correct the names")


def metrics_asked_for(stage: StageConfig, i: int) -> list[tuple[tuple[str | int, ...], str]]:
    """Return the metrics that the stage of this number chooses and guards by, each with where it is named."""
    guards = [(("stages", i, "guards", n, "metric"), guard.metric) for n, guard in enumerate(stage.guards)]
    return [(("stages", i, "select"), stage.select), *guards]


def metrics_are_the_tasks(recipe: Recipe) -> Iterator[Breach]:
    """GY062: `select` and guards name metrics that the task measures, and a guard states a bound."""
    known = METRICS.get(recipe.task)
    for i, stage in enumerate(recipe.stages):
        for at, metric in metrics_asked_for(stage, i):
            if known and metric not in known:
                yield Breach(at, f"metric {metric!r}, task {recipe.task!r} measures {list(known)}", "use one of them")
        for n, guard in enumerate(stage.guards):
            if guard.min is None and guard.max is None and guard.worse_by is None:
                yield Breach(
                    ("stages", i, "guards", n), f"a guard on {guard.metric} without a bound", "state min, max or worse_by"
                )


TASK_LAWS = (task_fits_the_network, parts_are_the_networks, metrics_are_the_tasks)
