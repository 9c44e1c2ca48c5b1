"""Arguments that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.decorators import FC

if TYPE_CHECKING:
    from rich.console import Console

    from glyphyard.recipe.recipe import Recipe

recipe_argument = click.argument("recipe", type=click.Path(path_type=Path))
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one field, e.g. --set stages.main.lr=3e-4."
)
labels_option = click.option(
    "--labels",
    "labels",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own `path<TAB>text` file: it joins the sources, alone gives the held-out set, and synthetic plates only train.",
)
profile_option = click.option("--profile", metavar="NAME", help="Lay one of the recipe's own `profiles` onto it, before --set.")
store_option = click.option(
    "--store", type=click.Path(path_type=Path), default=Path("runs"), envvar="GLYPHYARD_STORE", show_default=True, show_envvar=True,
    help="Folder of all runs, prepared datasets and the embedded registry.",
)  # fmt: skip
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value for a machine.")


def recipe_options(function: FC) -> FC:
    """Add the recipe and what may change it."""
    return recipe_argument(labels_option(profile_option(set_option(function))))


def load(recipe: Path, overrides: tuple[str, ...], labels: tuple[Path, ...], profile: str | None = None) -> Recipe:
    """Load a recipe with its profile, its overrides and the user's own labels."""
    from glyphyard.recipe.load import load_recipe

    return load_recipe(recipe, overrides, labels, profile)


def console(**options: Any) -> Console:
    """Return the console that verbs print to."""
    from rich.console import Console

    return Console(**options)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
