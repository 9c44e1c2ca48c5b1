"""`glyphyard audit`: what is wrong with the data, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import json_option, load, print_json, recipe_options, store_option


@click.command(epilog="Example: glyphyard audit recipes/florida_crnn.yaml --labels labels.txt")
@recipe_options
@store_option
@json_option
def audit(
    recipe: Path, labels: tuple[Path, ...], profile: str | None, overrides: tuple[str, ...], store: Path, as_json: bool
) -> None:
    """Prepare the recipe's data and print what the audit found; too many bad rows end with status 2."""
    from glyphyard.core.files import read_json
    from glyphyard.data.catalogue import preparer_of
    from glyphyard.data.refusal import TooManyBad

    loaded = load(recipe, overrides, labels, profile)
    capacity = loaded.model.capacity(loaded.dataset.image.width)
    say = (lambda line: click.echo(line, err=True)) if as_json else click.echo
    assert loaded.suite is not None  # `load` always reads it
    need = ("train", "validation", loaded.suite.split)  # what `run` asks for
    prepare = preparer_of(loaded.task).prepare
    try:
        folder = prepare(loaded.dataset, capacity, store.absolute(), need=need, in_process=True, say=say)
    except TooManyBad as refused:
        if as_json and refused.report:
            print_json(read_json(refused.report))
        raise
    if as_json:
        print_json(read_json(folder / "audit.json"))
    else:
        click.echo(f"audit: {folder / 'audit.json'}")
