"""`glyphyard queue`: the crops that a device was not sure of, on their way into the next dataset version."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import json_option, print_json
from glyphyard.core.errors import BadInput

folder_argument = click.argument("folder", type=click.Path(path_type=Path))
age_option = click.option(
    "--max-age-days", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Leave older crops out."
)


@click.group()
def queue() -> None:
    """Look at the crops that wait for a label, and export them as a dataset source."""


@queue.command("list", epilog="Example: glyphyard queue list /var/lib/glyphyard/queue")
@folder_argument
@age_option
@json_option
def list_items(folder: Path, max_age_days: float, as_json: bool) -> None:
    """List the crops of FOLDER, oldest first, with what was read on each."""
    from glyphyard.edge.queue import LabelQueue

    if not folder.is_dir():
        raise BadInput(str(folder), "no such folder", "name the agent's queue.folder (/etc/glyphyard/sync.json)")
    items = LabelQueue(folder, max_age_days=max_age_days).items()
    if as_json:
        print_json([item.to_json() for item in items])
        return
    for item in items:
        reads = ", ".join(f"{role} {read.text!r} {read.confidence:.0%}" for role, read in item.reads.items())
        click.echo(f"{item.image}  {item.reason:<12} {reads}")
    if not items:
        click.echo("no crop waits here for a label", err=True)


@queue.command(epilog="Example: glyphyard queue export /var/lib/glyphyard/queue to_label/ --clear")
@folder_argument
@click.argument("out", type=click.Path(path_type=Path))
@age_option
@click.option("--suggest", is_flag=True, help="Fill in the champion's reading, to be corrected; otherwise the texts are empty.")
@click.option("--clear", is_flag=True, help="Take the exported crops out of the queue.")
def export(folder: Path, out: Path, max_age_days: float, suggest: bool, clear: bool) -> None:
    """Write crops and `labels.tsv` (path<TAB>text) to the new folder OUT; filled in, it is a `plate_tsv` source."""
    from glyphyard.edge.queue import LabelQueue

    waiting = LabelQueue(folder, max_age_days=max_age_days)
    items = waiting.export(out, suggest)
    if clear:
        waiting.clear(items)
    click.echo(f"{len(items)} crops in {out}: fill in {out / 'labels.tsv'}, then add it as a plate_tsv source")
