"""`glyphyard recipes` and `glyphyard schema`: what there is, and what can be said."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import json_option, print_json


@click.command(epilog="Example: glyphyard recipes recipes/tiny --json")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("recipes"))
@json_option
def recipes(folder: Path, as_json: bool) -> None:
    """List the recipes of a folder with what each is for."""
    from glyphyard.core.errors import BadInput
    from glyphyard.recipe.load import load_recipe

    found = []
    for path in (p for p in sorted(folder.rglob("*.yaml")) if "sweeps" not in p.parts):
        try:
            loaded = load_recipe(path)
        except BadInput as error:
            found.append({"path": str(path), "name": None, "task": None, "description": f"does not load: {error}"})
        else:
            found.append({"path": str(path), "name": loaded.name, "task": loaded.task, "description": loaded.description})
    if not found:
        raise BadInput(str(folder), "holds no recipe (*.yaml)", "say where they are: glyphyard recipes FOLDER")
    if as_json:
        print_json(found)
        return
    for entry in found:
        click.echo(f"{entry['path']:<36} {entry['description']}")


@click.command(epilog="Example: glyphyard schema > recipe.schema.json")
@click.option("--markdown", is_flag=True, help="The same as a reference for people (docs/recipes.md is made with this).")
@click.option("--suite", is_flag=True, help="The schema of evaluation suites in place of recipes.")
def schema(markdown: bool, suite: bool) -> None:
    """Print the JSON Schema of recipes, for editors and machines."""
    from glyphyard.recipe.schema import json_schema, reference

    if markdown:
        click.echo(reference(), nl=False)
    else:
        print_json(json_schema(suite))
