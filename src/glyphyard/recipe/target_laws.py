"""The laws of `export.targets`: what a device cannot do is said before anything is trained for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from glyphyard.core.targets import TARGETS
from glyphyard.recipe.breach import Breach

if TYPE_CHECKING:
    from glyphyard.recipe.recipe import Recipe


def targets_are_known(recipe: Recipe) -> Iterator[Breach]:
    """GY040: a target is one of the table's, and is listed once."""
    names = [target.name for target in recipe.export.targets]
    for i, name in enumerate(names):
        if name not in TARGETS:
            near = difflib.get_close_matches(name, TARGETS, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(TARGETS)}"
            yield Breach(("export", "targets", i, "name"), f"no target is called {name!r}", remedy)
        if name in names[:i]:
            yield Breach(("export", "targets", i), f"{name} is listed twice", "keep one plan for a target")


def targets_have_what_is_asked(recipe: Recipe) -> Iterator[Breach]:
    """GY041: an accelerator is asked for where there is one, in a precision that it computes in."""
    for i, config in enumerate(recipe.export.targets):
        if config.target is None or config.dla is None:
            continue
        if config.dla >= config.target.dla_cores:
            problem = f"dla {config.dla} against {config.target.dla_cores} accelerators of {config.name}"
            yield Breach(("export", "targets", i, "dla"), problem, "leave it out: the GPU does it")
        if config.chosen_precision() == "fp32":
            yield Breach(
                ("export", "targets", i), f"dla {config.dla} against precision fp32", "an accelerator computes in fp16 or int8"
            )


def batches_are_ordered(recipe: Recipe) -> Iterator[Breach]:
    """GY042: min ≤ opt ≤ max ≤ export.max_batch, up to which parity with torch was checked."""
    for i, config in enumerate(recipe.export.targets):
        low, best, high = config.profile(recipe.export.max_batch)
        if not low <= best <= high <= recipe.export.max_batch:
            problem = f"batch {low} ≤ {best} ≤ {high} against `export.max_batch: {recipe.export.max_batch}`"
            yield Breach(("export", "targets", i), problem, "order them, or raise export.max_batch")


def opset_suits_the_targets(recipe: Recipe) -> Iterator[Breach]:
    """GY043: the ONNX is of an opset that the target's parser reads."""
    for i, config in enumerate(recipe.export.targets):
        rules = config.target.tensorrt if config.target else None
        if rules and recipe.export.opset > rules.max_opset:
            problem = f"`export.opset: {recipe.export.opset}` against TensorRT {rules.series} of {config.name}, which reads up to {rules.max_opset}"
            yield Breach(("export", "targets", i, "name"), problem, f"set export.opset to {rules.max_opset}")


def accelerators_take_one_batch(recipe: Recipe) -> Iterator[Breach]:
    """GY044: an accelerator knows no dynamic sizes, so its batch is one number."""
    for i, config in enumerate(recipe.export.targets):
        low, best, high = config.profile(recipe.export.max_batch)
        if config.dla is not None and not low == best == high:
            problem = f"dla {config.dla} against a batch from {low} to {high}"
            yield Breach(("export", "targets", i), problem, "state one batch, e.g. {min: 8, opt: 8, max: 8}, or leave dla out")


TARGET_LAWS = (
    targets_are_known,
    targets_have_what_is_asked,
    batches_are_ordered,
    opset_suits_the_targets,
    accelerators_take_one_batch,
)
