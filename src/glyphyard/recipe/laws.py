"""Laws across fields: what no single field can know. Each has a stable code and prints both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from glyphyard.core.errors import BadInput
from glyphyard.recipe.breach import Breach
from glyphyard.recipe.page_laws import PAGE_LAWS
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import PICTURE_TERMS, RestorerConfig
from glyphyard.recipe.restorer_laws import RESTORER_LAWS
from glyphyard.recipe.start_laws import START_LAWS
from glyphyard.recipe.suite_laws import SUITE_LAWS
from glyphyard.recipe.target_laws import TARGET_LAWS
from glyphyard.recipe.task_laws import TASK_LAWS

TERMS = {
    "crnn": ("ctc", "flat_start"),
    "parseq": ("plm",),
    "restorer": PICTURE_TERMS,  # and what its recogniser learns by
    "maskrcnn": ("classifier", "box", "mask", "objectness", "rpn_box"),
    "yolo": ("box", "cls", "dfl"),
}  # what each network can learn by
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
    """GY007: a network cuts the image into whole steps: crnn into 16x4 pixels (height x width), parseq into its patches."""
    image, (down, across) = recipe.dataset.image, recipe.model.pixel_steps
    if image.height % down or image.width % across:
        yield Breach(
            ("dataset", "image"),
            f"image {image.height}x{image.width} against {recipe.model.network}'s steps of {down}x{across} pixels",
            f"use multiples of {down} and {across}",
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


def alphabet_can_be_built(recipe: Recipe) -> Iterator[Breach]:
    """GY014: an alphabet has characters, each once, and equivalences name the first of a group in it."""
    try:
        recipe.dataset.the_alphabet()
    except BadInput as error:
        key = "equivalences" if "fold" in error.where else "alphabet"
        remedy = "name first a character that the alphabet holds" if key == "equivalences" else "state each character once"
        yield Breach(("dataset", key), error.problem, remedy)


def first_stage_has_no_previous(recipe: Recipe) -> Iterator[Breach]:
    """GY010: the first stage that says `previous` starts from scratch; a checkpoint must be there."""
    for i, stage in enumerate(recipe.stages):
        if stage.init not in ("previous", "scratch") and not stage.init.endswith(".pt"):
            yield Breach(
                ("stages", i, "init"),
                f"expected previous, scratch or a .pt file, found {stage.init!r}",
                "give the path of a best.pt or last.pt",
            )


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


def losses_fit_the_network(recipe: Recipe) -> Iterator[Breach]:
    """GY050: ctc and flat_start teach crnn, plm teaches parseq; l1, ssim and lcofl a generator."""
    network, known = repr(recipe.model.network), TERMS.get(recipe.model.network, ())
    if isinstance(recipe.model, RestorerConfig):
        network, known = f"{network} with {recipe.model.recogniser.network}", known + TERMS[recipe.model.recogniser.network]
    for i, stage in enumerate(recipe.stages):
        if known and (strangers := [term.term for term in stage.losses if term.term not in known]):
            yield Breach(
                ("stages", i, "losses"),
                f"losses {strangers} against network {network}, which learns by {list(known)}",
                "use its terms" if isinstance(recipe.model, RestorerConfig) else "use its terms, or leave `losses` out",
            )


def heads_divide_the_width(recipe: Recipe) -> Iterator[Breach]:
    """GY051: attention heads share the embedding out evenly."""
    for at, part in attentive_parts(recipe):
        for key in ("heads", "decoder_heads"):
            heads = getattr(part, key, 1)
            if part.embed_dim % heads:
                problem = f"embed_dim {part.embed_dim} against {key} {heads}, which do not divide it"
                yield Breach((*at, key), problem, f"choose an embed_dim that is a multiple of {heads}")


def windows_fit_the_low_resolution(recipe: Recipe) -> Iterator[Breach]:
    """GY052: a window of attention is no larger than the low-resolution image."""
    image = recipe.dataset.image
    for at, part in attentive_parts(recipe):
        if (window := getattr(part, "window", None)) is None:
            continue
        height, width = image.height // part.scale, image.width // part.scale
        if window > min(height, width):
            problem = (
                f"window {window} against low-resolution images of {height}x{width} ({image.height}x{image.width} / {part.scale})"
            )
            yield Breach((*at, "window"), problem, "choose a smaller window, or larger images")


def stems_can_be_built(recipe: Recipe) -> Iterator[Breach]:
    """GY055: a stem of convolutions halves, so that a patch's sides are powers of two, and has no released weights."""
    for at, part in attentive_parts(recipe):
        if getattr(part, "stem", None) != "convolutions":
            continue
        if part.pretrained:
            problem = f"pretrained {part.pretrained!r} against stem convolutions: released weights cut patches"
            yield Breach((*at, "pretrained"), problem, "take another `size`, or leave pretrained out")
        if any(side < 1 or side & (side - 1) for side in part.patch) or max(part.patch) == 1:
            yield Breach((*at, "patch"), f"patch {list(part.patch)} against stem convolutions, which halve", "take powers of two")


def attentive_parts(recipe: Recipe) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the place and the config of each network with attention: the model itself, or parts of it."""
    for at, part in [(("model",), recipe.model), *((("model", name), value) for name, value in recipe.model)]:
        if isinstance(part, BaseModel) and hasattr(part, "embed_dim"):
            yield at, part


def workers_can_be_had(recipe: Recipe) -> Iterator[Breach]:
    """GY015: several workers have whole GPUs each, and a recipe that trains in this process has one worker with one GPU at most."""
    runtime = recipe.runtime
    asked = f"workers {runtime.workers} with gpus_per_worker {runtime.gpus_per_worker:g}"
    if runtime.launcher == "in_process" and (runtime.workers > 1 or runtime.gpus_per_worker > 1):
        yield Breach(
            ("runtime", "launcher"), f"launcher in_process against {asked}", "say launcher ray, or ask for one worker and one GPU"
        )
    elif runtime.gpus_per_worker % 1 and (runtime.workers > 1 or runtime.gpus_per_worker > 1):
        problem = f"{asked}: workers that train together cannot share a GPU"
        yield Breach(("runtime", "gpus_per_worker"), problem, "give each whole GPUs, or ask for one worker")


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
    alphabet_can_be_built,
    first_stage_has_no_previous,
    suite_equivalences_cover_training,
    rates_are_possible,
    no_password_in_a_recipe,
    losses_fit_the_network,
    heads_divide_the_width,
    windows_fit_the_low_resolution,
    stems_can_be_built,
    workers_can_be_had,
    *PAGE_LAWS,
    *RESTORER_LAWS,
    *START_LAWS,
    *SUITE_LAWS,
    *TARGET_LAWS,
    *TASK_LAWS,
)


def check_laws(recipe: Recipe, position: Callable[..., str]) -> None:
    """Raise a `BadInput` for the first broken law; `position` turns a place in the recipe into file:line:column."""
    for law in LAWS:
        for breach in law(recipe):
            code = (law.__doc__ or "").partition(":")[0]
            raise BadInput(position(*breach.at), f"[{code}] {breach.problem}", breach.remedy)
