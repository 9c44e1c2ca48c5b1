"""Laws of sweeps, GY020–GY031: what a space, an objective and a budget owe the base recipe."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from glyphyard.core.errors import BadInput
from glyphyard.recipe.augmentation import SPOILING, AugmentationConfig
from glyphyard.recipe.breach import Breach
from glyphyard.recipe.laws import workers_can_be_had
from glyphyard.recipe.mistakes import explain
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import REPORTED
from glyphyard.recipe.sweep_with_base import Sweep, place
from glyphyard.recipe.yolo_laws import AUGMENTATIONS, DETECTION

MOST_TRIED = 200  # points of the space, to find one that a choice can be trained with
ROOTS = ("model", "augmentation", "stages")  # what trials may differ in


def paths_exist(sweep: Sweep) -> Iterator[Breach]:
    """GY020: the space names fields that the base recipe has."""
    tree = sweep.base.to_json()
    for path in sweep.config.space:
        try:
            node, key = place(tree, path)
        except KeyError as error:
            step, known = error.args
            near = difflib.get_close_matches(step, known, 1, 0.5)
            full = path.replace(step, near[0]) if near else ""
            remedy = f"did you mean `{full}`?" if near else f"there is {', '.join(known) or 'nothing below it'}"
            yield Breach(("space", path), f"the recipe has no `{path}` (no `{step}`)", remedy)
            continue
        if isinstance(node[key], dict):
            yield Breach(("space", path), f"`{path}` holds keys, not a value", f"name one of {', '.join(node[key])}")


def only_what_is_trained(sweep: Sweep) -> Iterator[Breach]:
    """GY021: a sweep varies what the task makes of model, augmentation and stages; trials share one prepared dataset and one judge."""
    for path in sweep.config.space:
        if path in without_effect(sweep.base):
            yield Breach(("space", path), f"`{path}` has no effect on task {sweep.base.task!r}", "leave it out")
        if path.partition(".")[0] not in ROOTS:
            yield Breach(
                ("space", path),
                f"`{path}` is the same for all trials",
                f"vary fields of {', '.join(ROOTS)}; for another one run two sweeps",
            )


def without_effect(recipe: Recipe) -> list[str]:
    """Return the paths of the augmentations that the recipe's task never does."""
    unused: dict[str, Any] = {"super_resolution": SPOILING, DETECTION: set(AugmentationConfig.model_fields) - set(AUGMENTATIONS)}
    return [f"augmentation.{name}" for name in unused.get(recipe.task, ())]


def ranges_fit_the_fields(sweep: Sweep) -> Iterator[Breach]:
    """GY022: every value of the space is one that its field may have."""
    for path, dimension in sweep.config.space.items():
        for value in dimension.ends():
            try:
                tree = sweep.with_values({path: value})
                Recipe.model_validate({k: v for k, v in tree.items() if k != "suite"})
            except ValidationError as error:
                first = error.errors()[0]
                told = explain(Recipe, first, tuple(first["loc"]))
                yield Breach(("space", path, dimension.kind), f"the field cannot be {value!r}: {told}", "narrow the range")
                break


def conditions_can_hold(sweep: Sweep) -> Iterator[Breach]:
    """GY023: a dimension depends on others of the space, on values that they can have, and never on itself."""
    space = sweep.config.space
    for path, dimension in space.items():
        for other, value in dimension.when.items():
            if other not in space:
                yield Breach(("space", path, "when"), f"`{other}` is not in the space", "name a field that is varied")
            elif not space[other].holds(value):
                yield Breach(("space", path, "when"), f"`{other}` is never {value!r}", f"it is one of {space[other].ends()}")
    if circle := sorted(set(space) - set(sweep.config.ordered())):
        yield Breach(("space", circle[0], "when"), f"{' and '.join(circle)} depend on each other", "break the circle")


def one_name_a_field(sweep: Sweep) -> Iterator[Breach]:
    """GY024: a field is varied once, whether it is called by name or by number."""
    tree, seen = sweep.base.to_json(), dict[tuple[int, Any], str]()
    for path in sweep.config.space:
        node, key = place(tree, path)
        if (first := seen.setdefault((id(node), key), path)) != path:
            yield Breach(("space", path), f"`{path}` and `{first}` are the same field", "keep one")


def something_ends_it(sweep: Sweep) -> Iterator[Breach]:
    """GY025: a budget states trials, hours or both."""
    if sweep.config.budget.trials is None and sweep.config.budget.hours is None:
        yield Breach(("budget",), "the budget states neither trials nor hours", "state one, e.g. {trials: 50, hours: 8}")


def the_gate_knows_the_metric(sweep: Sweep) -> Iterator[Breach]:
    """GY026: the objective is a metric that the gate can judge."""
    known, metric = REPORTED.get(sweep.base.task, ()), sweep.config.objective.metric
    if known and metric not in known:
        near = difflib.get_close_matches(metric, known, 1, 0.5)
        remedy = f"did you mean `{near[0]}`?" if near else f"choose one of {', '.join(known)}"
        yield Breach(("objective", "metric"), f"no gate judges `{metric}`, and no validation reports it", remedy)


def a_grid_can_be_counted(sweep: Sweep) -> Iterator[Breach]:
    """GY027: a grid needs ranges with `points`."""
    for path, dimension in sweep.config.space.items():
        if sweep.config.sampler == "grid" and dimension.grid() is None:
            yield Breach(("space", path), f"sampler grid against a {dimension.kind} range of `{path}`", "give it `points: 5`")


def asha_has_a_rung(sweep: Sweep) -> Iterator[Breach]:
    """GY028: ASHA stops trials before their last epoch, or not at all."""
    asha, epochs = sweep.config.asha, sweep.epochs
    if asha and epochs and asha.grace_epochs >= epochs:
        yield Breach(
            ("asha",),
            f"grace_epochs {asha.grace_epochs} against {epochs} epochs of a trial: no trial would ever be stopped early",
            "lower it, train longer, or say `asha: null`",
        )


def no_password_in_a_sweep(sweep: Sweep) -> Iterator[Breach]:
    """GY029: a sweep file travels; a password in its storage URL would travel with it."""
    if "@" in (sweep.config.storage or "").partition("://")[2].partition("/")[0]:
        yield Breach(("storage",), "`storage` holds a user or a password", "put the URL into the environment: GLYPHYARD_STUDY")


def every_choice_can_be_trained(sweep: Sweep) -> Iterator[Breach]:
    """GY030: each choice makes, with some of the other values of the space, a recipe that holds and fits the data of all trials."""
    for path, dimension in sweep.config.space.items():
        for value in dimension.choice or ():
            if why := _why_never(sweep, {path: value}):
                yield Breach(("space", path, "choice"), f"no trial can have {value!r}: {why}", "leave it out")


def _why_never(sweep: Sweep, fixed: dict[str, Any]) -> str:
    """Return what is wrong with values whatever the others are; "" where some do, or where they are too many to try.

    Ranges of numbers stay at the base recipe's own value: no law holds them against a choice.
    """
    if not (why := _problem(sweep, fixed)):
        return ""
    config, points = sweep.config, [fixed]
    for other in config.ordered():
        if other in fixed or (values := config.space[other].grid()) is None:
            continue
        points = [point | {other: v} if config.active(point, other) else point for point in points for v in values]
        if len(points) > MOST_TRIED:
            return ""
    return "" if any(not _problem(sweep, point) for point in points) else why


def resources_can_be_had(sweep: Sweep) -> Iterator[Breach]:
    """GY031: with the workers and GPUs that the sweep gives to a trial some point of the space is a recipe that holds."""
    runtime = sweep.base.runtime.model_copy(update=sweep.given())
    for breach in workers_can_be_had(sweep.base.model_copy(update={"runtime": runtime})):  # which no value of the space mends
        yield Breach(("resources",), breach.problem, breach.remedy)
    if why := _why_never(sweep, {}):
        yield Breach(("resources",), f"no trial can be trained so: {why}", "ask for other resources, or change the recipe")


def _problem(sweep: Sweep, values: dict[str, Any]) -> str:
    try:
        sweep.trial(values)
    except BadInput as error:
        return error.problem
    return ""


SWEEP_LAWS: tuple[Callable[[Sweep], Iterator[Breach]], ...] = (
    paths_exist,
    only_what_is_trained,
    conditions_can_hold,
    ranges_fit_the_fields,
    resources_can_be_had,
    every_choice_can_be_trained,
    one_name_a_field,
    something_ends_it,
    the_gate_knows_the_metric,
    a_grid_can_be_counted,
    asha_has_a_rung,
    no_password_in_a_sweep,
)


def check_sweep(sweep: Sweep, position: Callable[..., str]) -> None:
    """Raise a `BadInput` for the first broken law; `position` turns a place in the sweep into file:line:column."""
    for law in SWEEP_LAWS:
        for breach in law(sweep):
            raise BadInput(position(*breach.at), f"[{(law.__doc__ or '').partition(':')[0]}] {breach.problem}", breach.remedy)
