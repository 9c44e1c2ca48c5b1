"""Laws of super-resolution: what its two resolutions, its generator and its stages owe each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from glyphyard.recipe.breach import Breach
from glyphyard.recipe.model import RELEASED, ParseqConfig
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import PICTURE_TERMS, RestorerConfig
from glyphyard.recipe.task_laws import metrics_asked_for


def two_resolutions_are_declared(recipe: Recipe) -> Iterator[Breach]:
    """GY057: task super_resolution and sources of pairs need to know the low-resolution side."""
    asks = ["task super_resolution"] if recipe.task == "super_resolution" else []
    asks += [f"source {source.name!r} of plate_pairs" for source in recipe.dataset.sources if source.kind == "plate_pairs"]
    if asks and recipe.dataset.low_resolution is None:
        scale = recipe.model.generator.scale if isinstance(recipe.model, RestorerConfig) else 4
        yield Breach(("dataset",), f"{asks[0]} without dataset.low_resolution", f"state it: `low_resolution: {{scale: {scale}}}`")


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


def hard_rows_are_known(recipe: Recipe) -> Iterator[Breach]:
    """GY063: hard mining draws by what LCOFL found misread."""
    for i, stage in enumerate(recipe.stages):
        if stage.hard_mining is None:
            continue
        terms = [term.term for term in stage.losses]
        if recipe.task != "super_resolution" or "lcofl" not in terms:
            problem = f"hard_mining against task {recipe.task!r} with losses {terms}"
            yield Breach(("stages", i, "hard_mining"), problem, "it goes with `losses: [{term: lcofl}]` of task super_resolution")


def losses_reach_what_is_trained(recipe: Recipe) -> Iterator[Breach]:
    """GY086: a stage's losses teach what it trains: l1, ssim and the released lcofl the generator, lcofl both, others the recogniser."""
    if not isinstance(recipe.model, RestorerConfig):
        return
    for i, stage in enumerate(recipe.stages):
        terms = {term.term for term in stage.losses}
        reached = {"generator"} if terms & set(PICTURE_TERMS) else set()
        of_pictures = {"l1", "ssim"} | ({"lcofl"} if recipe.model.lcofl.form == "official" else set())
        reached |= {"recogniser"} if terms - of_pictures else set()
        known = set(stage.train) & {"generator", "recogniser"}
        if untaught := known - reached:
            problem = f"train {list(stage.train)} against losses {sorted(terms)}, which teach {', '.join(sorted(reached))}"
            yield Breach(
                ("stages", i, "losses"), problem, f"use losses of what is trained, or freeze the {' and '.join(sorted(untaught))}"
            )


def draws_are_of_something(recipe: Recipe) -> Iterator[Breach]:
    """GY087: validation is drawn several times where low sides are made: in stages of l1, ssim or lcofl, not of pairs alone."""
    given = all(source.kind == "plate_pairs" for source in recipe.dataset.sources if "validation" in source.splits)
    for i, stage in enumerate(recipe.stages):
        terms = {term.term for term in stage.losses}
        if stage.validation_draws > 1 and not terms & set(PICTURE_TERMS):
            problem = f"validation_draws {stage.validation_draws} against losses {sorted(terms)}: each draw would be the same"
            yield Breach(("stages", i, "validation_draws"), problem, "leave it out: this stage never looks at a low side")
        elif stage.validation_draws > 1 and given:
            problem = f"validation_draws {stage.validation_draws} against sources of plate_pairs: each draw would be the same"
            yield Breach(("stages", i, "validation_draws"), problem, "leave it out: low sides are given, none is made")


def pictures_are_judged_where_they_are_made(recipe: Recipe) -> Iterator[Breach]:
    """GY088: psnr and ssim choose and guard stages of l1, ssim or lcofl only: in others no picture is made."""
    if not isinstance(recipe.model, RestorerConfig):
        return
    for i, stage in enumerate(recipe.stages):
        terms = {term.term for term in stage.losses}
        if terms & set(PICTURE_TERMS):
            continue
        for at, metric in metrics_asked_for(stage, i):
            if metric in ("psnr", "ssim"):
                yield Breach(at, f"metric {metric!r} against losses {sorted(terms)}", "use loss, word_acc or char_acc")


def windows_fit_the_image(recipe: Recipe) -> Iterator[Breach]:
    """GY089: the window of LCOFL's SSIM lies within the high-resolution side."""
    if not isinstance(recipe.model, RestorerConfig):
        return
    side, window = min(recipe.dataset.image.height, recipe.dataset.image.width), recipe.model.lcofl.ssim_window
    if window > side:
        problem = f"ssim_window {window} against an image whose smaller side is {side} px"
        yield Breach(("model", "lcofl", "ssim_window"), problem, f"use at most {side - 1 + side % 2}")


def checkpoints_to_start_from_are_there(recipe: Recipe) -> Iterator[Breach]:
    """GY064: the checkpoint that a stage starts from exists, and so do the released weights that PARSeq starts from."""
    for i, stage in enumerate(recipe.stages):
        if stage.init.endswith(".pt") and not Path(stage.init).is_file():
            problem = f"stage {stage.name!r} starts from {stage.init}, which is not there"
            yield Breach(("stages", i, "init"), problem, "train it first, or say `previous` or `scratch`")
    inside = isinstance(recipe.model, RestorerConfig)
    at, part = (("model", "recogniser"), recipe.model.recogniser) if inside else (("model",), recipe.model)  # type: ignore[union-attr]
    which = part.pretrained if isinstance(part, ParseqConfig) else None
    if which is not None and which not in RELEASED and not Path(which).expanduser().is_file():
        problem = f"pretrained {which!r} is no file that is there, and none of {', '.join(RELEASED)}"
        yield Breach((*at, "pretrained"), problem, "correct the path, or leave it out")


RESTORER_LAWS = (
    two_resolutions_are_declared,
    scales_agree,
    hard_rows_are_known,
    losses_reach_what_is_trained,
    pictures_are_judged_where_they_are_made,
    windows_fit_the_image,
    draws_are_of_something,
    checkpoints_to_start_from_are_there,
)
