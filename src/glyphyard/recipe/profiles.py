"""Profiles of a recipe: named changes (another machine, another budget) that are laid onto it before anything else.

    profiles:
      rtx3050:
        model: {imgsz: 512}
        stages.main.batch_size: 2

A key is a part of the recipe, merged key by key, or a dotted name as `--set` takes it. The chosen profile is resolved away:
a run knows the recipe that came of it, and so does its fingerprint.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput

KEY = "profiles"
# Last words of dotted keys whose value is a path.
PATHS = ("labels", "images", "metadata", "hr_images", "lr_images", "folder", "suite", "baseline", "init", "pretrained")
FILES = (".pt", ".pth", ".ckpt", ".bin")  # what `init` and `pretrained` say where they mean a file


def absolute_profiles(tree: dict[str, Any], folder: Path, absolute_paths: Callable[[dict[str, Any], Path], None]) -> None:
    """Make the paths that profiles state absolute against the folder of the file that states them, in place."""
    for profile in _mapping(tree.get(KEY)).values():
        if not isinstance(profile, dict):
            continue
        absolute_paths(profile, folder)
        for key, value in profile.items():
            last = key.rpartition(".")[2]
            if "." in key and last in PATHS and isinstance(value, str) and (last in PATHS[:-2] or value.endswith(FILES)):
                profile[key] = str((folder / Path(value).expanduser()).resolve())


def take_profile(tree: dict[str, Any], name: str | None) -> tuple[dict[str, Any], list[str]]:
    """Take all profiles out of a raw recipe; return the parts of the one called `name`, and its dotted assignments.

    None chosen changes nothing; an unknown one, or profiles of another shape, are a `BadInput`.
    """
    found = tree.pop(KEY, None)
    profiles = _mapping(found)
    if found is not None and (not isinstance(found, dict) or not all(isinstance(p, dict) for p in profiles.values())):
        raise BadInput(KEY, f"expected names with changes below them, found {found!r}", "profiles: {NAME: {model: {…}}}")
    if name is None:
        return {}, []
    if name not in profiles:
        known = ", ".join(profiles) or "none"
        near = difflib.get_close_matches(name, profiles, 1)
        remedy = f"did you mean {near[0]}?" if near else "leave --profile out, or add it to the recipe's `profiles`"
        raise BadInput(f"--profile {name}", f"no such profile in this recipe; it has {known}", remedy)
    chosen = profiles[name]
    dotted = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in chosen.items() if "." in key]  # JSON is YAML
    return {key: value for key, value in chosen.items() if "." not in key}, dotted


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
