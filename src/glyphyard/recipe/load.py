"""YAML → Recipe: 1.2, positions kept, unknown keys answered with the nearest known one, `extends` and dotted overrides."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.constructor import DuplicateKeyError

from glyphyard.core.errors import BadInput
from glyphyard.recipe.base import Strict
from glyphyard.recipe.laws import check_laws
from glyphyard.recipe.profiles import KEY as PROFILES
from glyphyard.recipe.profiles import absolute_profiles, take_profile
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig

S = TypeVar("S", bound=Strict)
Position = tuple[str, int, int]  # file, line, column, as people count them
Positions = dict[tuple[Any, ...], Position]
MAX_EXTENDS = 8
WEIGHT_FILES = (".pt", ".pth", ".ckpt", ".bin")  # what `pretrained` may name beside a released model
# What pydantic puts into a location for a union's member; the file has no such key.
TAGS = ("plate_tsv", "synthetic_plates", "plate_pairs", "name_csv", "synthetic_words", "crnn", "parseq", "restorer")
TAGS += ("yolo_folder", "synthetic_pages", "polygon_csv", "synthetic_outlines", "maskrcnn", "yolo")


def load_recipe(path: Path, overrides: Sequence[str] = (), labels: Sequence[Path] = (), profile: str | None = None) -> Recipe:
    """Load, merge, override and check a recipe; every mistake is a `BadInput` with file, line, column and remedy.

    `profile` names one of the recipe's own; `overrides` are dotted assignments such as "stages.0.lr=3e-4", made after it;
    `labels` are the user's own label files. Relative paths are made absolute against the file that states them (overrides:
    against the working directory).
    """
    path = Path(path).absolute()
    tree, positions = _read_with_parents(path, [])
    tree = _with_profile(tree, positions, profile, path)
    if labels:
        _add_labels(tree, labels)
    for override in overrides:
        _assign(tree, positions, override)
    _absolute_paths(tree, Path.cwd())
    recipe = _validate(Recipe, tree, positions, path)
    suite = load_suite(recipe.evaluate.suite)
    recipe = recipe.model_copy(update={"suite": suite})
    check_laws(recipe, lambda *at: _nearest_position(positions, at, path))
    return recipe


def load_suite(path: Path) -> SuiteConfig:
    """Load an evaluation suite."""
    tree, positions = _read_with_parents(Path(path).absolute(), [])
    return _validate(SuiteConfig, tree, positions, Path(path))


def recipe_from_json(value: Any, where: str = "recipe.json") -> Recipe:
    """Rebuild the recipe of a run from its canonical JSON (`Recipe.to_json`), without reading any other file."""
    try:
        suite = SuiteConfig.model_validate(value["suite"], strict=False) if value.get("suite") else None
        recipe = Recipe.model_validate({k: v for k, v in value.items() if k != "suite"})
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(where, f"expected the recipe of a run, found one of another version ({type(error).__name__})") from error
    return recipe.model_copy(update={"suite": suite})


def _read_with_parents(path: Path, chain: list[Path]) -> tuple[dict[str, Any], Positions]:
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
        raise BadInput(_at(positions, ("extends",), path), f"expected a path, found {parent!r}")
    base, base_positions = _read_with_parents((path.parent / parent).resolve(), [*chain, path])
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
    for source in tree.get("dataset", {}).get("sources", []) if isinstance(tree.get("dataset"), dict) else []:
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
        _assign(tree, positions, assignment, _at(positions, (PROFILES, name, assignment.partition("=")[0]), path))
    return tree


def _assign(tree: dict[str, Any], positions: Positions, override: str, stated: str | None = None) -> None:
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


def _validate(kind: type[S], tree: dict[str, Any], positions: Positions, path: Path) -> S:
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        # A misspelt key is also a missing one: the misspelling is the one to show.
        # A list that is too short without its bad entry is no mistake of its own.
        every = error.errors()
        inner = [tuple(e["loc"]) for e in every]
        real = [e for e in every if e["type"] != "too_short" or not any(e["loc"] == at[: len(e["loc"])] != at for at in inner)]
        mistakes = sorted(real, key=lambda e: e["type"] != "extra_forbidden")
        first, others = mistakes[0], len(mistakes) - 1
        at = tuple(first["loc"])
        problem = _explain(kind, first, at)
        more = f" (and {others} more mistake{'s' * (others > 1)})" if others else ""
        raise BadInput(_at(positions, at, path), problem + more) from error


def _explain(kind: type[BaseModel], error: Any, at: tuple[Any, ...]) -> str:
    dotted = ".".join(str(key) for key in at if key not in TAGS)
    if error["type"] == "extra_forbidden":
        known = _known_keys(kind, at[:-1])
        near = difflib.get_close_matches(str(at[-1]), known, 1, 0.5)
        return f"unknown key `{dotted}`; " + (f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}")
    if error["type"] == "missing":
        return f"`{dotted}` is missing"
    if error["type"] == "union_tag_not_found":
        return f"`{dotted}` has no {error['ctx']['discriminator']}; it is a word that says which sort it is"
    if error["type"] == "union_tag_invalid":
        known = str(error["ctx"]["expected_tags"]).replace("'", "")
        return f"`{dotted}` is of {error['ctx']['discriminator']} {error['ctx']['tag']!r}; known here: {known}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    expected = message if message.startswith("expected") else f"expected {message}"
    found = error["input"]
    shown = f", found {found!r}" if not isinstance(found, (dict, list)) and "found" not in message else ""
    kind_of = f" ({type(found).__name__})" if isinstance(found, str) and shown else ""
    return f"`{dotted}`: {expected}{shown}{kind_of.replace('(str)', '(text)')}"


def _known_keys(kind: Any, at: tuple[Any, ...]) -> list[str]:
    """Return the keys that the part of the schema at `at` knows."""
    candidates: list[Any] = [kind]
    for key in at:
        following: list[Any] = []
        for candidate in candidates:
            if isinstance(key, str) and (found := candidate.model_fields.get(key) or _by_alias(candidate, key)):
                following += _models_in(found.annotation)
            elif isinstance(key, int):
                following.append(candidate)
            else:  # a discriminator's tag
                following += [c for c in candidates if _is_tagged(c, key)]
        candidates = following or candidates
    return sorted({field.alias or name for c in candidates for name, field in c.model_fields.items()})


def _is_tagged(model: type[BaseModel], tag: str) -> bool:
    fields = (model.model_fields.get(name) for name in ("kind", "network"))
    return any(field is not None and tag in get_args(field.annotation) for field in fields)


def _by_alias(model: type[BaseModel], key: str) -> Any:
    return next((f for f in model.model_fields.values() if f.alias == key), None)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _nearest_position(positions: Positions, at: tuple[Any, ...], path: Path) -> str:
    """Return "file:line:column" of the deepest stated key on the way to `at`."""
    candidate = tuple(key for key in at if key not in TAGS)
    while candidate:
        if candidate in positions:
            file, line, column = positions[candidate]
            return f"{file}:{line}:{column}" if line else file
        candidate = candidate[:-1]
    return str(path)


_at = _nearest_position


def _nearest_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("recipes")
    names = {p.name: p for p in sorted(folder.rglob("*.yaml"))} if folder.is_dir() else {}
    near = difflib.get_close_matches(path.name, list(names), 1, 0.4)
    return f"did you mean {names[near[0]]}?" if near else "`glyphyard recipes` lists those that come with the project"
