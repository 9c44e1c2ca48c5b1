"""Laws of progressive stages and of super-resolution: what its parts, its two resolutions and its stages owe each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from glyphyard.recipe.breach import Breach
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import RestorerConfig

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
    "super_resolution": ("loss", "psnr", "ssim", "word_acc", "char_acc", "hr_word_acc", "hr_char_acc"),
    "detection": ("loss", "map50", "map", "precision", "recall"),
    "segmentation": ("loss", "map50", "map", "mask_map50", "mask_map", "f1", "exact_match", "cer"),
}


def task_fits_the_network(recipe: Recipe) -> Iterator[Breach]:
    """GY056: a task trains the networks it knows: recognition crnn and parseq, super_resolution a restorer."""
    known = NETWORKS.get(recipe.task)
    if known and recipe.model.network not in known:
        problem = f"network {recipe.model.network!r} against task {recipe.task!r}"
        yield Breach(("model", "network"), problem, f"use {' or '.join(known)}")


def two_resolutions_are_declared(recipe: Recipe) -> Iterator[Breach]:
    """GY057: task super_resolution and sources of pairs need to know the low-resolution side."""
    asks = ["task super_resolution"] if recipe.task == "super_resolution" else []
    asks += [f"source {source.name!r} of plate_pairs" for source in recipe.dataset.sources if source.kind == "plate_pairs"]
    if asks and recipe.dataset.low_resolution is None:
        yield Breach(("dataset",), f"{asks[0]} without dataset.low_resolution", "state it: `low_resolution: {scale: 4}`")


def scales_agree(recipe: Recipe) -> Iterator[Breach]:
    """GY058: the generator enlarges by as much as the low-resolution side is smaller, and that divides the image."""
    low, model, image = recipe.dataset.low_resolution, recipe.model, recipe.dataset.image
    if low is None:
        return
    if isinstance(model, RestorerConfig) and model.generator.scale != low.scale:
        problem = f"model.generator.scale {model.generator.scale} against dataset.low_resolution.scale {low.scale}"
        yield Breach(("model", "generator", "scale"), problem, "make them equal")
    if image.height % low.scale or image.width % low.scale:
        problem = f"image {image.height}x{image.width} against dataset.low_resolution.scale {low.scale}"
        yield Breach(("dataset", "image"), problem, f"use multiples of {low.scale}")


def parts_are_the_networks(recipe: Recipe) -> Iterator[Breach]:
    """GY061: a stage trains and freezes parts that the network has: model, or generator and recogniser."""
    known = PARTS.get(recipe.task)
    for i, stage in enumerate(recipe.stages):
        for key in ("train", "freeze"):
            if known and (strangers := sorted(set(getattr(stage, key)) - set(known))):
                yield Breach(("stages", i, key), f"parts {strangers}, the network has {list(known)}", "correct the names")


def metrics_are_the_tasks(recipe: Recipe) -> Iterator[Breach]:
    """GY062: `select` and guards name metrics that the task measures, and a guard states a bound."""
    known = METRICS.get(recipe.task)
    for i, stage in enumerate(recipe.stages):
        asked: list[tuple[tuple[str | int, ...], str]] = [(("stages", i, "select"), stage.select)]
        asked += [(("stages", i, "guards", n, "metric"), guard.metric) for n, guard in enumerate(stage.guards)]
        for at, metric in asked:
            if known and metric not in known:
                yield Breach(at, f"metric {metric!r}, task {recipe.task!r} measures {list(known)}", "use one of them")
        for n, guard in enumerate(stage.guards):
            if guard.min is None and guard.max is None and guard.worse_by is None:
                yield Breach(
                    ("stages", i, "guards", n), f"a guard on {guard.metric} without a bound", "state min, max or worse_by"
                )


def hard_rows_are_known(recipe: Recipe) -> Iterator[Breach]:
    """GY063: hard mining draws by what LCOFL found misread, and draws instead of weighted sampling."""
    for i, stage in enumerate(recipe.stages):
        if stage.hard_mining is None:
            continue
        terms = [term.term for term in stage.losses]
        if recipe.task != "super_resolution" or "lcofl" not in terms:
            problem = f"hard_mining against task {recipe.task!r} with losses {terms}"
            yield Breach(("stages", i, "hard_mining"), problem, "it goes with `losses: [{term: lcofl}]` of task super_resolution")
        if stage.sampling.mode != "shuffle":
            problem = f"hard_mining against sampling mode {stage.sampling.mode!r}"
            yield Breach(("stages", i, "hard_mining"), problem, "leave one of them out")


def checkpoints_to_start_from_are_there(recipe: Recipe) -> Iterator[Breach]:
    """GY064: the checkpoint that a stage starts from exists."""
    for i, stage in enumerate(recipe.stages):
        if stage.init.endswith(".pt") and not Path(stage.init).is_file():
            problem = f"stage {stage.name!r} starts from {stage.init}, which is not there"
            yield Breach(("stages", i, "init"), problem, "train it first, or say `previous` or `scratch`")


RESTORER_LAWS = (
    task_fits_the_network,
    two_resolutions_are_declared,
    scales_agree,
    parts_are_the_networks,
    metrics_are_the_tasks,
    hard_rows_are_known,
    checkpoints_to_start_from_are_there,
)
