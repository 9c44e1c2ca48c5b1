"""The recipe's schema, for editors (JSON Schema) and for people (a Markdown reference made from it)."""

from __future__ import annotations

import json
from typing import Any

from glyphyard.recipe.laws import LAWS
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig

# What the audit holds rows against; of all other laws the recipe alone knows.
LAWS_OF_ROWS = {
    "GY054": "a label fits the layout that the pyramid is told (`broken_layout`).",
    "GY059": "the high side of a pair is the low one's times the scale (`pair_not_multiple`).",
}


def json_schema(suite: bool = False) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a recipe, or of a suite."""
    schema = (SuiteConfig if suite else Recipe).model_json_schema(by_alias=True)
    if not suite:
        schema["properties"].pop("suite", None)  # comes from evaluate.suite, cannot be stated
        schema["properties"]["profiles"] = {
            "type": "object",
            "description": "Named changes for `--profile NAME`, laid onto the recipe before --set.",
        }
        schema["properties"]["extends"] = {"type": "string", "description": "A recipe this one is laid onto."}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def reference() -> str:
    """Return the reference of every field and law as Markdown."""
    lines = [
        "# Recipe reference",
        "",
        "Made by `glyphyard schema --markdown` (`make docs`); a test compares it with the code. Lists merge by replacement, keys by key; "
        "a `model` or `recogniser` of another `network` replaces the one that it extends.",
        "",
    ]
    for title, schema in (("Recipe", json_schema()), ("Suite (evals/suites)", json_schema(suite=True))):
        lines += _section(title, schema)
        lines += [
            line
            for name, part in sorted(schema.get("$defs", {}).items())
            if "properties" in part
            for line in _section(name, part)
        ]
    lines += ["## Laws", "", "What no single field can know. An error begins with the law's code.", ""]
    lines += [f"- **{code}** {text}" for code, _, text in sorted((law.__doc__ or "").strip().partition(": ") for law in LAWS)]
    lines += ["", "These are about a row of data, which is left out and told by the audit (kind in brackets).", ""]
    lines += [f"- **{code}** {text}" for code, text in LAWS_OF_ROWS.items()]
    return "\n".join(lines) + "\n"


def _section(title: str, schema: dict[str, Any]) -> list[str]:
    lines = [f"## {title}", "", schema.get("description", ""), "", "| key | type | default | what |", "|---|---|---|---|"]
    required = schema.get("required", [])
    for key, field in schema["properties"].items():
        default = "required" if key in required else f"`{_default(field.get('default'))}`"
        lines.append(f"| `{key}` | {_type(field)} | {default} | {_what(field)} |")
    return [*lines, ""]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"[{(name := field['$ref'].rpartition('/')[2])}](#{name.lower()})"
    if options := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(_type(option) for option in options)
    if "enum" in field:
        return " · ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items') or (field.get('prefixItems') or [{}])[0])}"
    return {
        "number": "number",
        "integer": "whole number",
        "string": "text",
        "boolean": "true/false",
        "object": "keys",
        "null": "nothing",
    }.get(field.get("type", ""), "value")


def _default(value: Any) -> str:
    if isinstance(value, dict):
        return "…" if value else "{}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(value)


def _what(field: dict[str, Any]) -> str:
    bounds = [
        f"{sign} {field[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in field
    ]
    sweep = field.get("sweep")
    swept = f"sweep {sweep['low']:g}…{sweep['high']:g} {sweep['scale']}" if sweep else ""
    return " ".join(
        part for part in (field.get("description", ""), ", ".join(bounds), f"({swept})" if swept else "") if part
    ).replace("|", "\\|")
