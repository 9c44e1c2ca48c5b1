"""`glyphyard predict`: what a bundle reads on images."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from glyphyard.cli.options import console

if TYPE_CHECKING:
    from glyphyard.pipeline.page_predictions import PageReading
    from glyphyard.pipeline.predictions import Prediction

    Row = TypeVar("Row", Prediction, PageReading)

BAR_FROM = 200  # images; fewer are read before anyone looks up


@click.command(
    epilog="Example: glyphyard predict runs/florida_crnn-…/bundle crops/ --out output; of pages: "
    "glyphyard predict page.jpg --detector runs/handwriting_yolo-…/bundle --reader runs/handwriting_crnn-…/bundle --out output"
)
@click.argument("places", nargs=-1, required=True, metavar="[BUNDLE] IMAGES…", type=click.Path(path_type=Path))
@click.option(
    "--detector",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Find regions on pages with this bundle; IMAGES are pages then.",
)
@click.option(
    "--reader", type=click.Path(path_type=Path), metavar="BUNDLE", help="Read each region that --detector finds with this bundle."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for predictions.csv and predictions.txt (pages: regions.csv, regions.json and pictures), in place of standard output.",
)
@click.option(
    "--decode", default="greedy", show_default=True, type=click.Choice(["greedy", "beam"]),
    help="beam: search with the bundle's n-gram of its training labels (export.ngram).",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output in place of CSV.")
def predict(
    places: tuple[Path, ...], detector: Path | None, reader: Path | None, out: Path | None, decode: str, as_json: bool
) -> None:
    """Read images or folders of images: text and calibrated confidence; an unreadable file is a row with an error, not the end.

    With --detector the images are pages: regions in reading order, and with --reader the text of each.
    """
    if detector is not None:
        _predict_pages(places, detector, reader, out, decode, as_json)
        return
    if reader is not None:
        raise click.UsageError("--reader reads what --detector finds: give both, or BUNDLE IMAGES…")
    if len(places) < 2:
        raise click.UsageError("give a BUNDLE and IMAGES, or --detector BUNDLE and pages")
    _predict_crops(places[0], places[1:], out, decode, as_json)


def _predict_pages(
    pages: tuple[Path, ...], detector: Path, reader: Path | None, out: Path | None, decode: str, as_json: bool
) -> None:
    from glyphyard.edge.catalogue import open_bundle, open_finder
    from glyphyard.pipeline.page_predictions import COLUMNS, page_files, page_readings
    from glyphyard.pipeline.predictions import image_files

    finder, reads = open_finder(detector), open_bundle(reader, decode) if reader else None
    total, regions, errors = _counted(pages, out), 0, 0
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    with ExitStack() as stack:
        to_files = stack.enter_context(page_files(out)) if out else None
        if not (as_json or to_files):
            writer.writeheader()
        for page in _with_bar(stack, page_readings(finder, reads, image_files(pages, out)), total):
            regions, errors = regions + len(page.regions), errors + bool(page.error)
            if to_files:
                to_files(page)
            if as_json:
                sys.stdout.write(json.dumps(page.to_json(), ensure_ascii=False) + "\n")
            elif not to_files:
                writer.writerows(page.rows())
    if out:
        click.echo(
            f"{total:,} pages, {errors:,} unreadable, {regions:,} regions: {out / 'regions.csv'}, {out / 'regions.json'}",
            err=True,
        )


def _counted(images: tuple[Path, ...], out: Path | None) -> int:
    """Count the images by their names; they are listed again as they are read."""
    from glyphyard.core.errors import BadInput
    from glyphyard.pipeline.predictions import image_files

    total = sum(1 for _ in image_files(images, out))
    if not total:
        raise BadInput(str(images[0]), "no image in this folder", "name a folder with .png, .jpg, .bmp, .webp or .tif files")
    return total


def _predict_crops(bundle: Path, images: tuple[Path, ...], out: Path | None, decode: str, as_json: bool) -> None:
    from glyphyard.edge.catalogue import open_bundle
    from glyphyard.pipeline.predictions import COLUMNS, image_files, prediction_files, predictions

    recognizer = open_bundle(bundle, decode)
    total = _counted(images, out)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    errors, started = 0, time.monotonic()
    with ExitStack() as stack:
        to_files = stack.enter_context(prediction_files(out)) if out else None
        if not (as_json or to_files):
            writer.writeheader()
        for row in _with_bar(stack, predictions(recognizer, image_files(images, out)), total):
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


def _with_bar(stack: ExitStack, rows: Iterable[Row], total: int) -> Iterable[Row]:
    """Pass rows on under a progress bar, on a terminal's standard error only."""
    screen = console(stderr=True)
    if not screen.is_terminal or total < BAR_FROM:
        return rows
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress("  reading", BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(), console=screen, transient=True)
    return stack.enter_context(bar).track(rows, total=total)
