"""YAML → Recipe: 1.2, positions kept, unknown keys answered with the nearest known one, `extends` and dotted overrides."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import DuplicateKeyError

from glyphyard.core.errors import BadInput
from glyphyard.recipe.laws import check_laws
from glyphyard.recipe.mistakes import Positions, explain, nearest_position, validate
from glyphyard.recipe.profiles import KEY as PROFILES
from glyphyard.recipe.profiles import absolute_profiles, take_profile
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig

MAX_EXTENDS = 8
WEIGHT_FILES = (".pt", ".pth", ".ckpt", ".bin")  # what `pretrained` may name beside a released model


def load_recipe(path: Path, overrides: Sequence[str] = (), labels: Sequence[Path] = (), profile: str | None = None) -> Recipe:
    """Load, merge, override and check a recipe; every mistake is a `BadInput` with file, line, column and remedy.

    `profile` names one of the recipe's own; `overrides` are dotted assignments such as "stages.0.lr=3e-4", made after it;
    `labels` are the user's own label files. Relative paths are made absolute against the file that states them (overrides:
    against the working directory).
    """
    path = Path(path).absolute()
    tree, positions = read_with_parents(path, [])
    if "objective" in tree and "stages" not in tree:
        raise BadInput(str(path), "is a sweep, expected a recipe", "sweeps run by `glyphyard sweep`; its `recipe:` names one")
    tree = _with_profile(tree, positions, profile, path)
    if labels:
        _add_labels(tree, labels)
    for override in overrides:
        assign(tree, positions, override)
    _absolute_paths(tree, Path.cwd())
    recipe = validate(Recipe, tree, positions, path)
    file = recipe.evaluate.suite
    if not file.exists():
        by_path = "a suite is named by its path from this file, such as ../evals/suites/us_plates.yaml"
        remedy = _nearest_file(file) if file.suffix in (".yaml", ".yml") else by_path
        raise BadInput(nearest_position(positions, ("evaluate", "suite"), path), f"`evaluate.suite`: no such file {file}", remedy)
    suite = load_suite(file)
    recipe = recipe.model_copy(update={"suite": suite})
    check_laws(recipe, lambda *at: nearest_position(positions, at, path))
    return recipe


def load_suite(path: Path) -> SuiteConfig:
    """Load an evaluation suite."""
    tree, positions = read_with_parents(Path(path).absolute(), [])
    return validate(SuiteConfig, tree, positions, Path(path))


def recipe_from_json(value: Any, where: str = "recipe.json", remedy: str = "if another version made it, begin anew") -> Recipe:
    """Rebuild a recipe from its canonical JSON (`Recipe.to_json`), without reading any other file; the first mistake is a `BadInput`."""
    try:
        suite = SuiteConfig.model_validate(value["suite"], strict=False) if value.get("suite") else None
        recipe = Recipe.model_validate({k: v for k, v in value.items() if k != "suite"})
    except ValidationError as error:
        first, kind = error.errors()[0], SuiteConfig if error.title == SuiteConfig.__name__ else Recipe
        raise BadInput(where, explain(kind, first, tuple(first["loc"])), remedy) from error
    except (TypeError, AttributeError) as error:
        raise BadInput(where, f"expected the recipe of a run, found {type(value).__name__}", remedy) from error
    return recipe.model_copy(update={"suite": suite})


def read_with_parents(path: Path, chain: list[Path]) -> tuple[dict[str, Any], Positions]:
    """Read a file and what it `extends`, merged, paths absolute, with the place where each key is stated."""
    if path in chain or len(chain) >= MAX_EXTENDS:
        raise BadInput(str(path), "`extends` goes round in a circle: " + " → ".join(p.name for p in [*chain, path]))
    raw = _parse(path)
    positions: Positions = {}
    _note_positions(raw, (), str(path), positions)
    tree = _plain(raw)
    parent = tree.pop("extends", None)
    _absolute_paths(tree, path.parent)
    absolute_profiles(tree, path.parent, _absolute_paths)
    if parent is None:
        return tree, positions
    if not isinstance(parent, str):
        raise BadInput(nearest_position(positions, ("extends",), path), f"expected a path, found {parent!r}")
    base, base_positions = read_with_parents((path.parent / parent).resolve(), [*chain, path])
    return _merge(base, tree), base_positions | positions


def _parse(path: Path) -> Any:
    yaml = YAML(typ="rt")
    yaml.version = (1, 2)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInput(str(path), "no such file", _nearest_file(path)) from error
    except IsADirectoryError as error:
        raise BadInput(str(path), "is a folder, expected a YAML file", "name a file in it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(path), f"expected a UTF-8 YAML file ({error})") from error
    try:
        raw = yaml.load(io.StringIO(text))
    except DuplicateKeyError as error:
        mark = error.problem_mark
        key = (error.problem or "").split('"')[1:2]
        raise BadInput(
            f"{path}:{mark.line + 1}:{mark.column + 1}", f"the key {''.join(key)!r} stands here twice", "keep one"
        ) from error
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise BadInput(where, f"not YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(raw, Mapping):
        raise BadInput(str(path), f"expected keys and values, found {type(raw).__name__ if raw is not None else 'an empty file'}")
    return raw


def _note_positions(node: Any, at: tuple[Any, ...], file: str, positions: Positions) -> None:
    marks = getattr(getattr(node, "lc", None), "data", None) or {}
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, Mapping):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, value in items:
        if key in marks:
            positions[(*at, key)] = (file, marks[key][0] + 1, marks[key][1] + 1)
        _note_positions(value, (*at, key), file, positions)


def _plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):  # ruamel's scalars remember their spelling; the recipe needs the value
        if isinstance(node, kind):
            return kind(node)
    return node


def _absolute_paths(tree: dict[str, Any], folder: Path) -> None:
    dataset = tree.get("dataset")
    sources = dataset.get("sources") if isinstance(dataset, dict) else None
    for source in sources if isinstance(sources, list) else []:
        for key in ("labels", "images", "metadata", "hr_images", "lr_images", "folder"):
            if isinstance(source, dict) and isinstance(source.get(key), str):
                source[key] = str((folder / Path(source[key]).expanduser()).resolve())
    model = tree.get("model")
    for part in [model, *(model.values() if isinstance(model, dict) else [])]:
        if isinstance(part, dict) and str(part.get("pretrained", "")).endswith(WEIGHT_FILES):
            part["pretrained"] = str((folder / Path(part["pretrained"]).expanduser()).resolve())
    for stage in stages if isinstance(stages := tree.get("stages"), list) else []:
        if isinstance(stage, dict) and str(stage.get("init", "")).endswith(".pt"):
            stage["init"] = str((folder / Path(stage["init"]).expanduser()).resolve())
    evaluate = tree.get("evaluate")
    for key in ("suite", "baseline"):
        if isinstance(evaluate, dict) and isinstance(evaluate.get(key), str):
            evaluate[key] = str((folder / evaluate[key]).resolve())


def _add_labels(tree: dict[str, Any], labels: Sequence[Path]) -> None:
    """Add real label files; whatever is synthetic only trains from here on, so that real plates alone are the judge."""
    dataset = tree.get("dataset")
    sources = dataset.get("sources") if isinstance(dataset, dict) else None
    if not isinstance(sources, list):
        raise BadInput("--labels", "this recipe states no list of dataset.sources that labels could join")
    for source in sources:
        if isinstance(source, dict) and str(source.get("kind")).startswith("synthetic_"):
            source["splits"] = ["train"]
    for i, path in enumerate(labels):
        name = "labels" if len(labels) == 1 else f"labels_{i + 1}"
        sources.append({"name": name, "kind": "plate_tsv", "labels": str(Path(path).absolute())})


def _merge(base: Any, over: Any) -> Any:
    """Lay `over` onto `base`: mappings merge key by key, anything else (lists too) replaces.

    A mapping that names another network replaces, too: what stood there is about a network that is gone.
    """
    if isinstance(base, dict) and isinstance(over, dict):
        if over.get("network", base.get("network")) != base.get("network"):
            return over
        return base | {key: _merge(base[key], value) if key in base else value for key, value in over.items()}
    return over


def _with_profile(tree: dict[str, Any], positions: Positions, name: str | None, path: Path) -> dict[str, Any]:
    """Lay the chosen profile onto a raw recipe without `profiles`; its mistakes are told where they stand in the file."""
    parts, dotted = take_profile(tree, name)
    for at in [at for at in positions if at[:2] == (PROFILES, name)]:
        positions[at[2:]] = positions[at]
    tree = _merge(tree, parts)
    for assignment in dotted:
        assign(tree, positions, assignment, nearest_position(positions, (PROFILES, name, assignment.partition("=")[0]), path))
    return tree


def assign(tree: dict[str, Any], positions: Positions, override: str, stated: str | None = None) -> None:
    """Make one dotted assignment ("stages.0.lr=3e-4") in a tree; `stated` says where it was made if not by --set."""
    where = stated or f"--set {override}"
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise BadInput(where, "expected KEY=VALUE, e.g. stages.0.lr=3e-4")
    at: tuple[Any, ...] = ()
    node: Any = tree
    keys = name.split(".")
    for depth, key in enumerate(keys):
        step: Any = key
        if isinstance(node, list):
            step = _index(node, key, where)
        elif not isinstance(node, dict):
            raise BadInput(where, f"`{'.'.join(keys[:depth])}` holds a value, not keys")
        at = (*at, step)
        positions[at] = (where, 0, 0)
        if depth == len(keys) - 1:
            for below in [place for place in positions if place[: len(at)] == at != place]:
                del positions[below]  # where the file states what is replaced here
            node[step] = _value(text, where) if text else None
        else:
            node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]


def _value(text: str, where: str) -> Any:
    try:
        return _plain(YAML(typ="rt").load(text))
    except YAMLError as error:
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise BadInput(where, f"expected a YAML value, found {text!r} ({problem})", "quote it") from error


def _index(node: list[Any], key: str, where: str) -> int:
    for i, item in enumerate(node):  # a list of named things can be asked by name: stages.main.lr
        if isinstance(item, dict) and item.get("name") == key:
            return i
    if not key.isdigit() or int(key) >= len(node):
        names = [item.get("name") for item in node if isinstance(item, dict)]
        raise BadInput(where, f"`{key}` is none of the {len(node)} entries {names}", "use an index from 0 or a name")
    return int(key)


def _nearest_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("recipes")
    names = {p.name: p for p in sorted(folder.rglob("*.yaml"))} if folder.is_dir() else {}
    near = difflib.get_close_matches(path.name, list(names), 1, 0.4)
    return f"did you mean {names[near[0]]}?" if near else "`glyphyard recipes` lists those that come with the project"
