"""`glyphyard predict`: what a bundle reads on images."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from glyphyard.cli.options import console

if TYPE_CHECKING:
    from glyphyard.pipeline.predictions import Prediction

BAR_FROM = 200  # images; fewer are read before anyone looks up


@click.command(epilog="Example: glyphyard predict runs/florida_crnn-…/bundle crops/ --out output")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for predictions.csv and predictions.txt, in place of standard output."
)
@click.option(
    "--decode", default="greedy", show_default=True, type=click.Choice(["greedy", "beam"]),
    help="beam: search with the bundle's n-gram of its training labels (export.ngram).",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output in place of CSV.")
def predict(bundle: Path, images: tuple[Path, ...], out: Path | None, decode: str, as_json: bool) -> None:
    """Read images or folders of images: text and calibrated confidence; an unreadable file is a row with an error, not the end."""
    from glyphyard.core.errors import BadInput
    from glyphyard.edge.catalogue import open_bundle
    from glyphyard.pipeline.predictions import COLUMNS, image_files, prediction_files, predictions

    recognizer = open_bundle(bundle, decode)
    total = sum(1 for _ in image_files(images))  # names only; they are listed again as they are read
    if not total:
        raise BadInput(str(images[0]), "no image in this folder", "name a folder with .png, .jpg, .bmp, .webp or .tif files")
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    errors, started = 0, time.monotonic()
    with ExitStack() as stack:
        to_files = stack.enter_context(prediction_files(out)) if out else None
        if not (as_json or to_files):
            writer.writeheader()
        for row in _with_bar(stack, predictions(recognizer, image_files(images)), total):
            errors += bool(row.error)
            if to_files:
                to_files(row)
            if as_json:
                sys.stdout.write(json.dumps(row.to_json(), ensure_ascii=False) + "\n")
            elif not to_files:
                writer.writerow(row.to_json())
    if out:
        seconds = time.monotonic() - started
        told = f"{total:,} images, {errors:,} unreadable, {total / seconds:.0f} a second: {out / 'predictions.csv'}, {out / 'predictions.txt'}"
        click.echo(told, err=True)


def _with_bar(stack: ExitStack, rows: Iterable[Prediction], total: int) -> Iterable[Prediction]:
    """Pass rows on under a progress bar, on a terminal's standard error only."""
    screen = console(stderr=True)
    if not screen.is_terminal or total < BAR_FROM:
        return rows
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress("  reading", BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(), console=screen, transient=True)
    return stack.enter_context(bar).track(rows, total=total)
