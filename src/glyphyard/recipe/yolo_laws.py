"""Laws of detection: what ultralytics' loop can do of what a recipe may state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from glyphyard.recipe.breach import Breach

if TYPE_CHECKING:
    from glyphyard.recipe.recipe import Recipe

# Changes of a picture that ultralytics makes: our name → its own; both mean the same number.
AUGMENTATIONS = {
    "rotate_deg": "degrees",
    "shear_deg": "shear",
    "scale": "scale",
    "translate": "translate",
    "brightness": "hsv_v",
    "saturation": "hsv_s",
}
DETECTION = "detection"


def detectors_last_epochs(recipe: Recipe) -> Iterator[Breach]:
    """GY073: a detector's stage lasts epochs, not steps: it is kept and judged at an epoch's end."""
    for i, stage in enumerate(recipe.stages):
        if recipe.task == DETECTION and stage.steps is not None:
            yield Breach(("stages", i, "steps"), f"steps {stage.steps} against task {recipe.task!r}", "state `epochs`")


def detectors_augment_by_what_there_is(recipe: Recipe) -> Iterator[Breach]:
    """GY074: pages can be rotated, sheared, scaled, shifted, and changed in brightness and saturation; no more than that."""
    if recipe.task != DETECTION:
        return
    fields = type(recipe.augmentation).model_fields
    for name in sorted(set(fields) - set(AUGMENTATIONS)):
        value = getattr(recipe.augmentation, name)
        if value and value != fields[name].default:  # the defaults are those of crops, and nobody stated them
            problem = f"augmentation.{name} against task {recipe.task!r}, which knows {', '.join(AUGMENTATIONS)}"
            yield Breach(("augmentation", name), problem, "leave it out")


def detectors_have_no_targets(recipe: Recipe) -> Iterator[Breach]:
    """GY075: plans for TensorRT devices are made for readers; a detector runs on ONNX Runtime."""
    if recipe.task == DETECTION and recipe.export.targets:
        yield Breach(
            ("export", "targets"), f"{len(recipe.export.targets)} targets against task {recipe.task!r}", "leave them out"
        )


def detectors_do_not_roll_back(recipe: Recipe) -> Iterator[Breach]:
    """GY078: a guard of a detector's stage stops or fails; ultralytics' loop does not go back."""
    for i, stage in enumerate(recipe.stages):
        for n, guard in enumerate(stage.guards):
            if recipe.task == DETECTION and guard.action == "rollback":
                at = ("stages", i, "guards", n, "action")
                yield Breach(at, f"action rollback against task {recipe.task!r}", "use stop or fail")


def floors_are_of_readers(recipe: Recipe) -> Iterator[Breach]:
    """GY079: `slice_floors` of a suite are exact matches of readers."""
    if recipe.task == DETECTION and recipe.suite and recipe.suite.slice_floors:
        problem = f"slice_floors of suite {recipe.suite.name!r} against task {recipe.task!r}, which reads nothing"
        yield Breach(("evaluate", "suite"), problem, "leave them out of the suite")


def detectors_sgd_is_nesterovs(recipe: Recipe) -> Iterator[Breach]:
    """GY085: SGD of a detector's stage is Nesterov's, with a momentum: ultralytics has no other."""
    for i, stage in enumerate(recipe.stages):
        chosen = stage.optimizer
        if recipe.task == DETECTION and chosen.name == "sgd" and not (chosen.nesterov and chosen.momentum > 0):
            problem = f"nesterov {str(chosen.nesterov).lower()}, momentum {chosen.momentum:g} against task {recipe.task!r}"
            yield Breach(("stages", i, "optimizer"), problem, "use `nesterov: true` and a momentum above 0, or adamw")


YOLO_LAWS = (
    detectors_last_epochs,
    detectors_augment_by_what_there_is,
    detectors_have_no_targets,
    detectors_do_not_roll_back,
    floors_are_of_readers,
    detectors_sgd_is_nesterovs,
)
