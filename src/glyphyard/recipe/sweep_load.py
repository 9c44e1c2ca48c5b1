"""Sweep file → Sweep: the same strictness as recipes, ranges tried on the base recipe, laws GY020–GY029."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from glyphyard.core.errors import BadInput
from glyphyard.recipe.breach import Breach
from glyphyard.recipe.load import (
    _assign,
    _explain,
    _nearest_position,
    _read_with_parents,
    _validate,
    load_recipe,
    recipe_from_json,
)
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import REPORTED
from glyphyard.recipe.sweep import SweepConfig

ROOTS = ("model", "augmentation", "stages")
BASE = "recipe."  # an override that begins with it is one of the base recipe


@dataclass(frozen=True)
class Sweep:
    """A sweep and the base recipe that it varies, both checked."""

    config: SweepConfig
    base: Recipe

    def to_json(self) -> dict[str, Any]:
        """Return both as JSON values: what a sweep's folder keeps."""
        return {"sweep": self.config.model_dump(mode="json", by_alias=True), "recipe": self.base.to_json()}

    def with_values(self, values: dict[str, Any], seed: int | None = None) -> dict[str, Any]:
        """Return the base recipe's JSON with these values at their dotted paths."""
        tree = copy.deepcopy(self.base.to_json())
        for path, value in values.items():
            node, key = place(tree, path)
            node[key] = value
        return tree if seed is None else tree | {"seed": seed}

    def base_values(self) -> dict[str, Any] | None:
        """Return the base recipe's own point of the space; None where it lies outside."""
        tree, values = self.base.to_json(), dict[str, Any]()
        for path in self.config.ordered():
            node, key = place(tree, path)
            if self.config.active(values, path):
                values[path] = node[key]
        return values if all(self.config.space[p].holds(v) for p, v in values.items()) else None

    @property
    def epochs(self) -> int | None:
        """Return a trial's epochs over all stages; None where a stage counts steps."""
        each = [stage.epochs for stage in self.base.stages]
        return None if None in each else sum(e for e in each if e)


def load_sweep(path: Path, overrides: Sequence[str] = (), labels: Sequence[Path] = ()) -> Sweep:
    """Load and check a sweep and its base recipe; every mistake is a `BadInput` with file, line, column and remedy.

    `overrides` change the sweep ("budget.trials=20") or, after "recipe.", its base ("recipe.seed=3"); `labels` join the base.
    """
    path = Path(path).absolute()
    tree, positions = _read_with_parents(path, [])
    for override in overrides:
        if not override.startswith(BASE):
            _assign(tree, positions, override)
    stated = tree.get("recipe")
    base: Recipe | None = None
    if isinstance(stated, str):
        folder = Path(positions.get(("recipe",), (str(path), 0, 0))[0]).parent  # of the file that states it, should it extend
        tree["recipe"] = str((folder / Path(stated).expanduser()).resolve())
        changes = tree.get("set") if isinstance(tree.get("set"), dict) else {}
        own = [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]  # JSON is YAML
        base = load_recipe(Path(tree["recipe"]), own + [o.removeprefix(BASE) for o in overrides if o.startswith(BASE)], labels)
        if tree.get("space") == "auto":
            workers = (tree.get("resources") or {}).get("workers", 1) if isinstance(tree.get("resources"), dict) else 1
            tree["space"] = auto_space(base, workers if isinstance(workers, int) else 1)
    config = _validate(SweepConfig, tree, positions, path)
    assert base is not None  # `recipe` is a required text
    sweep = Sweep(config, base)
    check_sweep(sweep, lambda *at: _nearest_position(positions, at, path))
    return sweep


def sweep_from_json(value: Any, where: str) -> Sweep:
    """Rebuild a sweep from what its folder keeps."""
    try:
        config = SweepConfig.model_validate(value["sweep"])
    except (ValidationError, KeyError, TypeError) as error:
        raise BadInput(where, f"expected a sweep, found one of another version ({type(error).__name__})") from error
    return Sweep(config, recipe_from_json(value["recipe"], where))


def auto_space(recipe: Recipe, workers: int = 1) -> dict[str, Any]:
    """Return the space that the schema's own sweep metadata gives for a recipe's model, augmentation and stages."""
    found: dict[str, Any] = {}
    for root in ROOTS:
        _collect(getattr(recipe, root), root, found, workers)
    return found


def _collect(value: Any, at: str, found: dict[str, Any], workers: int) -> None:
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            if isinstance(item, BaseModel):
                _collect(item, f"{at}.{getattr(item, 'name', None) or i}", found, workers)
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            inner, path = getattr(value, name), f"{at}.{field.alias or name}"
            if isinstance(sweep := extra.get("sweep"), dict):
                found[path] = _dimension(inner, sweep, workers if name == "batch_size" else 1)
            else:
                _collect(inner, path, found, workers)


def _dimension(value: Any, sweep: dict[str, Any], multiple: int) -> dict[str, Any]:
    low, high = sweep["low"], sweep["high"]
    if isinstance(value, int) and not isinstance(value, bool):
        if sweep["scale"] == "log":  # whole numbers on a logarithmic scale: the powers of two
            return {"choice": [2**k for k in range(31) if low <= 2**k <= high and 2**k % multiple == 0]}
        return {"int": [int(low), int(high)]}
    return {"loguniform" if sweep["scale"] == "log" else "uniform": [float(low), float(high)]}


def place(tree: Any, path: str) -> tuple[Any, Any]:
    """Return the container and the key of a dotted path; a step that is not there is a `KeyError` (step, what there is)."""
    node, keys = tree, path.split(".")
    for depth, key in enumerate(keys):
        step: Any = key
        if isinstance(node, list):
            names = [item.get("name") if isinstance(item, dict) else None for item in node]
            step = names.index(key) if key in names else int(key) if key.isdigit() else -1
            if not 0 <= step < len(node):
                raise KeyError(key, [name for name in names if name] or [str(i) for i in range(len(node))])
        elif not isinstance(node, dict) or key not in node:
            raise KeyError(key, sorted(node) if isinstance(node, dict) else [])
        if depth == len(keys) - 1:
            return node, step
        node = node[step]
    raise KeyError(path, [])  # an empty path


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
    """GY021: a sweep varies the model, the augmentation and the stages; trials share one prepared dataset and one judge."""
    for path in sweep.config.space:
        if path.partition(".")[0] not in ROOTS:
            yield Breach(
                ("space", path),
                f"`{path}` is the same for all trials",
                f"vary fields of {', '.join(ROOTS)}; for another one run two sweeps",
            )


def ranges_fit_the_fields(sweep: Sweep) -> Iterator[Breach]:
    """GY022: every value of the space is one that its field may have."""
    for path, dimension in sweep.config.space.items():
        for value in dimension.ends():
            try:
                tree = sweep.with_values({path: value})
                Recipe.model_validate({k: v for k, v in tree.items() if k != "suite"})
            except ValidationError as error:
                first = error.errors()[0]
                told = _explain(Recipe, first, tuple(first["loc"]))
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


SWEEP_LAWS: tuple[Callable[[Sweep], Iterator[Breach]], ...] = (
    paths_exist,
    only_what_is_trained,
    conditions_can_hold,
    ranges_fit_the_fields,
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


FIXED = ("space", "objective", "sampler", "startup_trials", "asha", "seed", "storage")


def differences(before: Sweep, now: Sweep) -> list[str]:
    """Return what must not change between two sessions of a sweep and did, one sentence each; budgets and concurrency may."""
    old, new = ({k: v.to_json()["sweep"][k] for k in FIXED} for v in (before, now))
    old["workers"], new["workers"] = before.config.resources.workers, now.config.resources.workers
    found = _differing(old, new, "")
    if before.base.fingerprint != now.base.fingerprint:
        ours, theirs = before.base.to_json(), now.base.to_json()
        found += _differing(ours, theirs, "recipe") or ["recipe: another fingerprint"]
    return found


def _differing(old: Any, new: Any, at: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        told = []
        for key in [*old, *(k for k in new if k not in old)]:
            told += _differing(old.get(key), new.get(key), f"{at}.{key}" if at else str(key))
        return told
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and any(isinstance(v, dict) for v in old):
        return [line for i, pair in enumerate(zip(old, new, strict=True)) for line in _differing(*pair, f"{at}.{i}")]
    return [] if old == new else [f"{at} was {_short(old)}, is {_short(new)}"]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if v not in (None, {}, 1)} or value
    return "absent" if value is None else str(value)[:80]
