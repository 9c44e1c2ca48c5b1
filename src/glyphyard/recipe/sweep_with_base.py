"""A sweep together with the recipe that it varies: dotted places, a trial's recipe, what may change between two sessions."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.sweep import SweepConfig


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
