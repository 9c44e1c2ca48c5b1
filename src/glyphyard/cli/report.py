"""`glyphyard report`: a run's report, written again, and two runs in one page."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import store_option


@click.command(
    options_metavar="RUN | diff RUN_A RUN_B [OPTIONS]",
    epilog="Example: glyphyard report florida_crnn-20261120-231500-1a2b · glyphyard report diff OLD_RUN NEW_RUN --out diff.html",
)
@click.argument("what", nargs=-1, required=True, metavar="")
@click.option("--out", type=click.Path(path_type=Path), help="diff: where the page goes; NEW_RUN/diff-OLD_RUN.html when absent.")
@store_option
def report(what: tuple[str, ...], out: Path | None, store: Path) -> None:
    """Write report.html of a run (finished or not), or compare two runs crop by crop in one page."""
    from glyphyard.pipeline.store import open_run

    if len(what) == 3 and what[0] == "diff":
        from glyphyard.pipeline.compare import compare_runs
        from glyphyard.report.diff import write_diff

        a, b = (open_run(name, store.absolute()) for name in what[1:])
        click.echo(write_diff(compare_runs(a, b), out or b / f"diff-{a.name}.html"))
        return
    if len(what) != 1 or out is not None:
        raise click.UsageError("give a RUN, or `diff RUN_A RUN_B`")
    from glyphyard.report import write_report

    click.echo(write_report(open_run(what[0], store.absolute())))
