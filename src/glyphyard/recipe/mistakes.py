"""What is wrong in a file that a person wrote, in one line: where it stands, what was expected, the nearest known key."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from glyphyard.core.errors import BadInput
from glyphyard.recipe.base import Strict

S = TypeVar("S", bound=Strict)
Position = tuple[str, int, int]  # file, line, column, as people count them
Positions = dict[tuple[Any, ...], Position]
# What pydantic puts into a location for a union's member; the file has no such key.
SOURCES = ("plate_tsv", "synthetic_plates", "plate_pairs", "name_csv", "synthetic_words")
PAGE_SOURCES = ("yolo_folder", "synthetic_pages", "polygon_csv", "synthetic_outlines")
TAGS = (*SOURCES, *PAGE_SOURCES, "crnn", "parseq", "restorer", "maskrcnn", "yolo")
# Pydantic speaks of Python; a recipe is YAML.
PLAIN = {
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "dict_type": "keys and values",
    "tuple_type": "a list",
    "list_type": "a list",
    "bool_type": "true or false",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "path_type": "the path of a file or folder",
}
UNQUOTED = {
    "bool_type": re.compile("true|false"),
    "int_type": re.compile(r"[-+]?\d+"),
    "float_type": re.compile(r"[-+.\d]+(e[-+]?\d+)?"),
}
LENGTHS = {
    "too_short": ("min_length", "entries"),
    "too_long": ("max_length", "entries"),
    "string_too_short": ("min_length", "characters"),
    "string_too_long": ("max_length", "characters"),
}


def validate(kind: type[S], tree: dict[str, Any], positions: Positions, path: Path) -> S:
    """Check a tree against its schema; the first mistake that a person would mend is a `BadInput` at its place in `path`."""
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
        problem = explain(kind, first, at)
        more = f" (and {others} more mistake{'s' * (others > 1)})" if others else ""
        raise BadInput(nearest_position(positions, at, path), problem + more) from error


def explain(kind: type[BaseModel], error: Any, at: tuple[Any, ...]) -> str:
    """Say one of pydantic's mistakes (`error`, at the place `at` of `kind`) in the recipe's own words."""
    dotted = ".".join(str(key) for key in at if key not in TAGS)
    if error["type"] == "extra_forbidden":
        known = _known_keys(kind, at[:-1])
        near = difflib.get_close_matches(str(at[-1]), known, 1, 0.5)
        return f"unknown key `{dotted}`; " + (f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}")
    if error["type"] == "missing":
        return f"`{dotted}` is missing"
    if error["type"] == "union_tag_not_found":
        if not isinstance(error["input"], dict):
            return f"`{dotted}`: expected keys and values, found {_told(error['input'])}"
        return f"`{dotted}` has no {_sort_key(error)}; it is a word that says which sort it is"
    if error["type"] == "union_tag_invalid":
        known, tag = str(error["ctx"]["expected_tags"]).replace("'", "").split(", "), str(error["ctx"]["tag"])
        near = difflib.get_close_matches(tag, known, 1, 0.7)
        remedy = f"did you mean {near[0]}?" if near else "name one of them"
        return f"`{dotted}.{_sort_key(error)}`: expected one of {', '.join(known)}, found {tag!r}; {remedy}"
    found = error["input"]
    if error["type"] in LENGTHS:
        bound, word = LENGTHS[error["type"]]
        size = f"at {bound.partition('_')[0].replace('min', 'least').replace('max', 'most')} {error['ctx'][bound]}"
        return f"`{dotted}`: expected {size} {word}, found {len(found)}"
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if error["type"] == "string_pattern_mismatch":
        message = f"a text of the form {error['ctx']['pattern']}"
    message = PLAIN.get(error["type"], message)
    expected = message if message.startswith("expected") else f"expected {message}"
    # A whole part of the recipe is found only where it has the wrong form: a rule's own words say what is wrong in it.
    tells = "found" not in message and (error["type"] in PLAIN or not isinstance(found, (dict, list)))
    shown = f", found {_told(found)}" if tells else ""
    if isinstance(found, str) and shown:
        quoted = error["type"] in UNQUOTED and UNQUOTED[error["type"]].fullmatch(found)
        shown += " (text)" + ("; remove the quotes" if quoted else "")
    return f"`{dotted}`: {expected}{shown}"


def _told(found: Any) -> str:
    return "a list" if isinstance(found, list) else "keys and values" if isinstance(found, dict) else repr(found)


def _sort_key(error: Any) -> str:
    """Return the key whose word chooses among a union's members: pydantic names it in quotes, or the function that reads it."""
    return str(error["ctx"]["discriminator"]).strip("'").removesuffix("_of()")


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


def nearest_position(positions: Positions, at: tuple[Any, ...], path: Path) -> str:
    """Return "file:line:column" of the deepest stated key on the way to `at`."""
    candidate = tuple(key for key in at if key not in TAGS)
    while candidate:
        if candidate in positions:
            file, line, column = positions[candidate]
            return f"{file}:{line}:{column}" if line else file
        candidate = candidate[:-1]
    return str(path)
