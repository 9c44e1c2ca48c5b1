"""Sweep file → Sweep: the same strictness as recipes, ranges tried on the base recipe, laws GY020–GY029."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from glyphyard.core.errors import BadInput
from glyphyard.recipe.load import assign, load_recipe, read_with_parents, recipe_from_json
from glyphyard.recipe.mistakes import nearest_position, validate
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.sweep import SweepConfig
from glyphyard.recipe.sweep_laws import ROOTS, check_sweep, without_effect
from glyphyard.recipe.sweep_with_base import Sweep, left_to_presets

BASE = "recipe."  # an override that begins with it is one of the base recipe


def load_sweep(path: Path, overrides: Sequence[str] = (), labels: Sequence[Path] = ()) -> Sweep:
    """Load and check a sweep and its base recipe; every mistake is a `BadInput` with file, line, column and remedy.

    `overrides` change the sweep ("budget.trials=20") or, after "recipe.", its base ("recipe.seed=3"); `labels` join the base.
    """
    path = Path(path).absolute()
    tree, positions = read_with_parents(path, [])
    if "stages" in tree and "recipe" not in tree:
        raise BadInput(str(path), "is a recipe, expected a sweep", "recipes run by `glyphyard run`; a sweep says `recipe: PATH`")
    for override in overrides:
        if not override.startswith(BASE):
            assign(tree, positions, override)
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
    config = validate(SweepConfig, tree, positions, path)
    assert base is not None  # `recipe` is a required text
    sweep = Sweep(config, base, left_to_presets(base, config))
    check_sweep(sweep, lambda *at: nearest_position(positions, at, path))
    return sweep


def sweep_from_json(value: Any, where: str) -> Sweep:
    """Rebuild a sweep from what its folder keeps."""
    try:
        config = SweepConfig.model_validate(value["sweep"])
    except (ValidationError, KeyError, TypeError) as error:
        raise BadInput(where, f"expected a sweep, found one of another version ({type(error).__name__})") from error
    # A sweep from before `left_open` was kept goes on as it began.
    return Sweep(config, recipe_from_json(value["recipe"], where), value.get("left_open", {}))


def auto_space(recipe: Recipe, workers: int = 1) -> dict[str, Any]:
    """Return the space that the schema's own sweep metadata gives for a recipe's model, augmentation and stages."""
    found: dict[str, Any] = {}
    for root in ROOTS:
        _collect(getattr(recipe, root), root, found, workers)
    return {path: values for path, values in found.items() if path not in without_effect(recipe)}


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
