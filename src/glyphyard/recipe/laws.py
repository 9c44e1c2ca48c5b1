"""Laws across fields: what no single field can know. Each has a stable code and prints both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from glyphyard.core.errors import BadInput
from glyphyard.recipe.recipe import Recipe


class Breach(NamedTuple):
    """A broken law: where in the recipe, what stands against what, and what to do."""

    at: tuple[Any, ...]
    problem: str
    remedy: str


Law = Callable[[Recipe], Iterator[Breach]]


def no_flip_for_text(recipe: Recipe) -> Iterator[Breach]:
    """GY001: a mirrored text is another text."""
    if recipe.augmentation.horizontal_flip:
        yield Breach(
            ("augmentation", "horizontal_flip"),
            "`horizontal_flip: true` against `task: recognition`",
            "leave it out: a mirrored plate is another plate",
        )


def distinct_names(recipe: Recipe) -> Iterator[Breach]:
    """GY002: sources and stages are told apart by name."""
    for key, names in (("stages", [s.name for s in recipe.stages]), ("sources", [s.name for s in recipe.dataset.sources])):
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            yield Breach(
                ("stages",) if key == "stages" else ("dataset", "sources"),
                f"two {key} are called {doubled[0]!r}",
                "give each its own name",
            )


def stages_have_a_length(recipe: Recipe) -> Iterator[Breach]:
    """GY003: a stage lasts some epochs or some steps, not both."""
    for i, stage in enumerate(recipe.stages):
        if (stage.epochs is None) == (stage.steps is None):
            yield Breach(("stages", i), f"epochs={stage.epochs} and steps={stage.steps}", "state exactly one of them")


def weights_name_sources(recipe: Recipe) -> Iterator[Breach]:
    """GY004: weighted sampling weighs sources that exist and are trained on."""
    known = [s.name for s in recipe.dataset.sources if "train" in s.splits]
    for i, stage in enumerate(recipe.stages):
        strangers = sorted(set(stage.sampling.weights) - set(known))
        if strangers:
            yield Breach(
                ("stages", i, "sampling", "weights"),
                f"weights name {strangers}, the training sources are {known}",
                "use their names",
            )
        if (stage.sampling.mode == "weighted") != bool(stage.sampling.weights):
            yield Breach(
                ("stages", i, "sampling"),
                f"mode {stage.sampling.mode!r} with weights {stage.sampling.weights}",
                "weights go with `mode: weighted`",
            )


def something_to_learn_and_to_judge(recipe: Recipe) -> Iterator[Breach]:
    """GY005: there is a training split, a validation split, and the split that the suite judges."""
    share = {"train": 1.0, "validation": recipe.dataset.split.validation, "test": recipe.dataset.split.test}
    needed = {"train", "validation", recipe.suite.split if recipe.suite else "test"}
    for split in sorted(needed):
        whole = any(set(s.splits) == {split} for s in recipe.dataset.sources)
        part = any(split in s.splits for s in recipe.dataset.sources) and share[split] > 0
        if not (whole or part):
            yield Breach(
                ("dataset",),
                f"no source gives rows to the {split} split (share {share[split]:g})",
                f"let a source's `splits` hold {split} and give it a share",
            )
    if share["validation"] + share["test"] >= 1:
        yield Breach(
            ("dataset", "split"),
            f"validation {share['validation']:g} + test {share['test']:g} leave nothing to train on",
            "hold out less",
        )


def workers_share_the_batch(recipe: Recipe) -> Iterator[Breach]:
    """GY006: a batch divides over the workers."""
    for i, stage in enumerate(recipe.stages):
        if stage.batch_size % recipe.runtime.workers:
            yield Breach(
                ("stages", i, "batch_size"),
                f"batch_size {stage.batch_size} against {recipe.runtime.workers} workers",
                "make it a multiple",
            )


def image_fits_the_network(recipe: Recipe) -> Iterator[Breach]:
    """GY007: four stages halve the height to one row; the width is cut into columns of four pixels."""
    image = recipe.dataset.image
    if image.height % 16 or image.width % 4:
        yield Breach(
            ("dataset", "image"),
            f"image {image.height}x{image.width} against crnn's steps of 16x4 pixels",
            "use multiples of 16 and 4",
        )


def parts_exist(recipe: Recipe) -> Iterator[Breach]:
    """GY008: a part cannot learn and stay frozen at once."""
    for i, stage in enumerate(recipe.stages):
        if both := sorted(set(stage.train) & set(stage.freeze)):
            yield Breach(("stages", i), f"{both} stand in `train` and in `freeze`", "keep one")


def equivalences_are_groups(recipe: Recipe) -> Iterator[Breach]:
    """GY009: an equivalence names two characters or more, and a character belongs to one."""
    groups = recipe.dataset.equivalences
    for group in groups:
        if len(set(group)) < 2:
            yield Breach(("dataset", "equivalences"), f"{group!r} makes nothing equal", "name two characters, e.g. 0O")
    for a, b in pairwise(sorted("".join(groups))):
        if a == b:
            yield Breach(("dataset", "equivalences"), f"{a!r} stands in more than one group of {list(groups)}", "join them")
            return


def first_stage_has_no_previous(recipe: Recipe) -> Iterator[Breach]:
    """GY010: the first stage that says `previous` starts from scratch; a checkpoint must be there."""
    for i, stage in enumerate(recipe.stages):
        if stage.init not in ("previous", "scratch") and not stage.init.endswith(".pt"):
            yield Breach(("stages", i, "init"), f"expected previous, scratch or a .pt file, found {stage.init!r}", "")


def suite_equivalences_cover_training(recipe: Recipe) -> Iterator[Breach]:
    """GY011: a reader that folds O into 0 can only be judged by a suite that does the same."""
    if recipe.suite is None:
        return
    judged = {frozenset(g) for g in recipe.suite.equivalences}
    for group in recipe.dataset.equivalences:
        if not any(set(group) <= g for g in judged):
            yield Breach(
                ("dataset", "equivalences"),
                f"the model folds {group!r}, the suite {recipe.suite.name!r} counts {list(recipe.suite.equivalences)}",
                "declare the same in both",
            )


def rates_are_possible(recipe: Recipe) -> Iterator[Breach]:
    """GY012: a threshold lies where its metric can be."""
    for threshold in recipe.suite.thresholds if recipe.suite else ():
        if (threshold.below is None) == (threshold.above is None):
            yield Breach(
                ("evaluate", "suite"),
                f"threshold on {threshold.metric}: below={threshold.below}, above={threshold.above}",
                "state exactly one bound",
            )


def no_password_in_a_recipe(recipe: Recipe) -> Iterator[Breach]:
    """GY013: a recipe travels; a password in its tracking URI would travel with it."""
    if "@" in (recipe.registration.tracking_uri or "").partition("://")[2].partition("/")[0]:
        remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment"
        yield Breach(("register", "tracking_uri"), "`tracking_uri` holds a user or a password", remedy)


LAWS: tuple[Law, ...] = (
    no_flip_for_text,
    distinct_names,
    stages_have_a_length,
    weights_name_sources,
    something_to_learn_and_to_judge,
    workers_share_the_batch,
    image_fits_the_network,
    parts_exist,
    equivalences_are_groups,
    first_stage_has_no_previous,
    suite_equivalences_cover_training,
    rates_are_possible,
    no_password_in_a_recipe,
)


def check_laws(recipe: Recipe, position: Callable[..., str]) -> None:
    """Raise a `BadInput` for the first broken law; `position` turns a place in the recipe into file:line:column."""
    for law in LAWS:
        for breach in law(recipe):
            code = (law.__doc__ or "").partition(":")[0]
            raise BadInput(position(*breach.at), f"[{code}] {breach.problem}", breach.remedy)
