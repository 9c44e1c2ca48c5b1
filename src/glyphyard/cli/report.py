"""`glyphyard report`: a run's report, written again."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import store_option


@click.command(epilog="Example: glyphyard report florida_crnn-20261120-231500-1a2b")
@click.argument("run")
@store_option
def report(run: str, store: Path) -> None:
    """Write report.html of a run (finished or not) from what its folder holds."""
    from glyphyard.pipeline.store import open_run
    from glyphyard.report import write_report

    click.echo(write_report(open_run(run, store.absolute())))
