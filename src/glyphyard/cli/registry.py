"""`glyphyard models`, `promote`, `rollback`, `push`: the registry's verbs."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.decorators import FC

from glyphyard.cli.options import json_option, print_json, store_option

if TYPE_CHECKING:
    from glyphyard.registry import Tracking

tracking_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    show_envvar=True,
    help="An MLflow server in place of the store's own database; user and password belong into MLFLOW_TRACKING_USERNAME and …_PASSWORD.",
)


def audited(function: FC) -> FC:
    """Add who and why."""
    by = click.option(
        "--by", default=lambda: f"{getpass.getuser()}@{socket.gethostname()}", show_default="you", help="Who decides."
    )
    why = click.option("--why", required=True, help="The reason, for the audit trail.")
    return by(why(function))


def _tracking(store: Path, uri: str | None) -> Tracking:
    from glyphyard.registry import Tracking

    return Tracking.of(store, uri)


@click.command(epilog="Example: glyphyard models alpr-florida-ocr-crnn")
@click.argument("model", required=False)
@click.option("--history", "trail", is_flag=True, help="Who moved MODEL's champion, when and why, in place of its versions.")
@tracking_option
@store_option
@json_option
def models(model: str | None, trail: bool, tracking_uri: str | None, store: Path, as_json: bool) -> None:
    """List registered versions with their aliases and the gate's figures."""
    from glyphyard.core.errors import BadInput
    from glyphyard.registry import models as list_models
    from glyphyard.registry.evidence import figures_line

    tracking = _tracking(store, tracking_uri)
    if trail:
        _history(model, tracking, as_json)
        return
    found = list_models(tracking, model)
    if as_json:
        print_json([version.to_json() for version in found])
    for version in () if as_json else found:
        click.echo(
            f"{version.model_name} {version.version:>3}  {', '.join(version.aliases) or '–':<22} {figures_line(version.tags)}  {version.created}"
        )
    if not found and model:
        known = sorted({version.model_name for version in list_models(tracking, None)})
        raise BadInput(f"model {model}", "no such model is registered", f"registered: {', '.join(known) or 'none yet'}")
    if not found and not as_json:
        click.echo("no model is registered yet", err=True)


def _history(model: str | None, tracking: Tracking, as_json: bool) -> None:
    from glyphyard.registry import history

    if model is None:
        raise click.UsageError("--history needs a MODEL")
    moves = history(tracking, model)
    if as_json:
        print_json([move.to_json() for move in moves])
    for move in () if as_json else moves:
        click.echo(
            f"{move.when}  {move.action:<8} {move.from_version or '–'} → {move.version}  {move.by}: {move.why}  (run {move.run_id or '?'})"
            + ("" if move.done else "  (begun; whether it was done is not known)")
        )


@click.command(epilog="Example: glyphyard promote alpr-florida-ocr-crnn candidate --why 'better at night'")
@click.argument("model")
@click.argument("version")
@audited
@tracking_option
@store_option
@json_option
def promote(model: str, version: str, by: str, why: str, tracking_uri: str | None, store: Path, as_json: bool) -> None:
    """Make VERSION (a number or an alias) the champion; the old one becomes `previous`. Without a PASS it is refused."""
    from glyphyard.registry import promote as move

    done = move(model, version, _tracking(store, tracking_uri), by=by, why=why, say=lambda line: click.echo(line, err=as_json))
    if as_json:
        print_json(done.to_json())


@click.command(epilog="Example: glyphyard rollback alpr-florida-ocr-crnn --why 'reads 8 for B'")
@click.argument("model")
@audited
@tracking_option
@store_option
@json_option
def rollback(model: str, by: str, why: str, tracking_uri: str | None, store: Path, as_json: bool) -> None:
    """Make the previous champion the champion again."""
    from glyphyard.registry import rollback as move

    done = move(model, _tracking(store, tracking_uri), by=by, why=why, say=lambda line: click.echo(line, err=as_json))
    if as_json:
        print_json(done.to_json())


@click.command(epilog="Example: glyphyard push florida_crnn-20261120-231500-1a2b")
@click.argument("run")
@tracking_option
@store_option
@json_option
def push(run: str, tracking_uri: str | None, store: Path, as_json: bool) -> int:
    """Send a run to MLflow that could not be sent when it ended; pushing twice changes nothing."""
    from glyphyard.pipeline.store import open_run
    from glyphyard.registry import push as send

    folder = open_run(run, store.absolute())
    release = send(folder, lambda line: click.echo(line, err=as_json), tracking_uri)
    release.write(folder / "release.json")
    if as_json:
        print_json(release.to_json())
    return 0 if release.run_id else 4
