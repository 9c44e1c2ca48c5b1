"""A sweep together with the recipe that it varies: dotted places, a trial's recipe, what may change between two sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from glyphyard.core.errors import BadInput
from glyphyard.recipe.laws import check_laws
from glyphyard.recipe.load import recipe_from_json
from glyphyard.recipe.model import OnPreset
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.sweep import SweepConfig


@dataclass(frozen=True)
class Sweep:
    """A sweep and the base recipe that it varies, both checked.

    `left_open` names, for each varied field that chooses a preset, what the base recipe leaves to the preset (`left_to_presets`).
    """

    config: SweepConfig
    base: Recipe
    left_open: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """Return both as JSON values: what a sweep's folder keeps."""
        sweep = self.config.model_dump(mode="json", by_alias=True)
        return {"sweep": sweep, "recipe": self.base.to_json(), "left_open": self.left_open}

    def with_values(self, values: dict[str, Any], seed: int | None = None) -> dict[str, Any]:
        """Return the JSON of the recipe that `--set` makes of the base with these values at their dotted paths.

        Values that make no recipe are returned as they stand: whoever builds one of them is told what is wrong.
        """
        tree = self.base.to_json()
        for path, value in values.items():
            node, key = place(tree, path)
            node[key] = value
            for name in self.left_open.get(path, ()):  # another preset gives them anew
                sibling = f"{path.rpartition('.')[0]}.{name}."
                if not any(f"{other}.".startswith(sibling) for other in values):
                    del node[name]
        if seed is not None:
            tree["seed"] = seed
        try:
            return recipe_from_json(tree).to_json()
        except BadInput:
            return tree

    def given(self) -> dict[str, Any]:
        """Return what a trial's `runtime` has of the sweep's resources."""
        mine = self.config.resources
        return {"workers": mine.workers, "cpus_per_worker": mine.cpus_per_worker, "gpus_per_worker": mine.gpus_per_worker}

    def trial(self, values: dict[str, Any], seed: int | None = None) -> Recipe:
        """Return a trial's recipe, with the sweep's resources; one that breaks a law, or would need other data, is a `BadInput`."""
        tree = self.with_values(values, seed)
        recipe = recipe_from_json(tree | {"runtime": tree["runtime"] | self.given()}, "these values", "")
        check_laws(recipe, lambda *at: ".".join(map(str, at)))
        width = recipe.dataset.image.width
        if recipe.model.capacity(width) != self.base.model.capacity(width):
            problem = "they change which texts there is room for, so the data would have to be audited anew"
            raise BadInput("these values", problem, "run two sweeps")
        return recipe

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


def left_to_presets(base: Recipe, config: SweepConfig) -> dict[str, list[str]]:
    """Return, for each field of the space that chooses a preset, the fields beside it that the recipe leaves to the preset."""
    found = {}
    for path in config.space:
        *steps, key = path.split(".")
        part: Any = base
        for step in steps:
            part = dict(part).get(step) if isinstance(part, BaseModel) else None
        if isinstance(part, OnPreset) and key == part.preset_key:
            found[path] = part.left_to_the_preset()
    return found


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


FIXED = ("space", "objective", "sampler", "startup_trials", "asha", "seed", "storage")


def differences(before: Sweep, now: Sweep) -> list[str]:
    """Return what must not change between two sessions of a sweep and did, one sentence each; budgets and concurrency may."""
    old, new = ({k: v.to_json()["sweep"][k] for k in FIXED} for v in (before, now))
    old["workers"], new["workers"] = before.config.resources.workers, now.config.resources.workers
    old["left_open"], new["left_open"] = before.left_open, now.left_open
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
