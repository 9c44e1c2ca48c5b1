"""`glyphyard baseline` and `glyphyard suite`: what the gate compares with, and the set that it is frozen on."""

from __future__ import annotations

import getpass
import socket
import sys
from pathlib import Path

import click

from glyphyard.cli.options import json_option, labels_option, print_json, set_option, store_option


@click.group()
def baseline() -> None:
    """The champions that the gate compares with (evals/baselines)."""


@baseline.command(
    epilog="Example: glyphyard baseline update florida_plates --from florida_crnn-20261120-231500-1a2b --why 'more night crops'"
)
@click.argument("name")
@click.option("--from", "run", required=True, metavar="RUN", help="A run's folder or name, or the --out folder of an evaluation.")
@click.option("--why", required=True, help="The reason, for the record.")
@click.option("--by", default=lambda: f"{getpass.getuser()}@{socket.gethostname()}", show_default="you", help="Who decides.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
def update(name: str, run: str, why: str, by: str, yes: bool, store: Path) -> None:
    """Show what would change, ask, and make RUN the baseline NAME."""
    from glyphyard.core.errors import BadInput
    from glyphyard.evaluation.baseline import baseline_file
    from glyphyard.evaluation.updates import accept, propose
    from glyphyard.pipeline.store import open_run

    folder = Path(run) if (Path(run) / "scorecard.json").is_file() else open_run(run, store.absolute())
    if not why.strip():
        raise BadInput("--why", "says nothing", "say why this run becomes the baseline")
    proposal = propose(baseline_file(name), folder.absolute())
    for line in proposal.changes:
        click.echo(f"  {line}")
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput(f"baseline {name}", "nobody is there to ask", "look at the difference above and say --yes")
        click.confirm(f"make {folder.name} the baseline {name}?", abort=True)
    done = accept(proposal, by, why)
    click.echo(f"baseline {done.name}: {proposal.path} and {done.outcomes}; commit both")


@baseline.command(epilog="Example: glyphyard baseline show florida_plates")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Print who made it the baseline, when, from which run and why."""
    from glyphyard.evaluation.baseline import load_baseline
    from glyphyard.evaluation.words import amount, label

    found, _ = load_baseline(name)
    if as_json:
        print_json(found.to_json())
        return
    click.echo(
        f"{found.name}: suite {found.scorecard.suite}, {found.scorecard.samples:,} crops, held-out set {found.scorecard.held_out[:16]}…"
    )
    for entry in found.updates:
        figures = ", ".join(f"{label(m)} {amount(m, f.value)}" for m, f in entry.figures.items() if not m.startswith("raw_"))
        click.echo(f"  {entry.when}  {entry.by}  from {entry.from_run}: {entry.why}  ({figures})")


@click.group()
def suite() -> None:
    """The suites that the gate judges by (evals/suites)."""


@suite.command(epilog="Example: glyphyard suite freeze us_plates --recipe recipes/us_plates.yaml")
@click.argument("name")
@click.option("--recipe", type=click.Path(path_type=Path), help="The recipe whose held-out set it is.")
@labels_option
@click.option("--dataset", type=click.Path(path_type=Path), help="A prepared dataset's folder in place of a recipe.")
@set_option
@store_option
@json_option
def freeze(
    name: str,
    recipe: Path | None,
    labels: tuple[Path, ...],
    dataset: Path | None,
    overrides: tuple[str, ...],
    store: Path,
    as_json: bool,
) -> None:
    """List the held-out rows beside the suite and print the line that freezes them; another set is refused from then on."""
    from glyphyard.pipeline.judged import dataset_of, suite_file, terms_of
    from glyphyard.pipeline.judged import freeze as freeze_rows

    terms = terms_of(name, recipe, None, overrides, labels)

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    folder = dataset_of(terms, dataset, labels, store, say)
    digest = freeze_rows(suite_file(name), folder, say)
    if as_json:
        print_json({"suite": str(suite_file(name)), "stated": terms.suite.held_out, "held_out": digest})
    elif terms.suite.held_out == digest:
        click.echo("the suite states this hash already")
    else:
        click.echo(f"state it in {suite_file(name)}:\n\nheld_out: {digest}")
