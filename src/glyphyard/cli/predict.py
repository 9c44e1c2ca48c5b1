"""`glyphyard predict`: what a bundle reads on images."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
BATCH = 64


@click.command(epilog="Example: glyphyard predict runs/florida_crnn-…/bundle crops/ > readings.csv")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line in place of CSV.")
def predict(bundle: Path, images: tuple[Path, ...], as_json: bool) -> None:
    """Read images or folders of images; an unreadable file is a row with an error, not the end."""
    from glyphyard.core.errors import BadInput
    from glyphyard.edge import Recognizer

    recognizer = Recognizer(bundle)
    paths = _files(images)
    writer = csv.DictWriter(sys.stdout, ("path", "text", "confidence", "error"), lineterminator="\n")
    if not as_json:
        writer.writeheader()
    while chunk := list(islice(paths, BATCH)):
        for row in _read(recognizer, chunk, BadInput):
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n") if as_json else writer.writerow(row)


def _files(images: tuple[Path, ...]) -> Iterator[Path]:
    for path in images:
        if path.is_dir():
            yield from (p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _read(recognizer: object, paths: list[Path], bad_input: type[Exception]) -> Iterator[dict[str, object]]:
    from glyphyard.core.pixels import read_image

    loaded, errors = {}, {}
    for path in paths:
        try:
            loaded[path] = read_image(path)
        except bad_input as error:
            errors[path] = str(error)
    readings = dict(zip(loaded, recognizer.read_many(loaded.values()), strict=True))  # type: ignore[attr-defined]
    for path in paths:
        if path in errors:
            yield {"path": str(path), "text": "", "confidence": "", "error": errors[path]}
        else:
            yield {"path": str(path), "text": readings[path].text, "confidence": round(readings[path].confidence, 4), "error": ""}
