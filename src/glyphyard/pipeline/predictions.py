"""What a bundle reads on images, as a stream and as files; of ten thousand images one batch is in memory."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path
from glyphyard.core.pixels import read_image
from glyphyard.edge.catalogue import Reader

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
BATCH = 64
DRAWN = ".regions.jpg"
CSV_FILE, TEXT_FILE = "predictions.csv", "predictions.txt"
ONE_LINE = str.maketrans("\t\n\r", "   ")  # a file may be called anything
COLUMNS = ("path", "text", "confidence", "error")


@dataclass(frozen=True)
class Prediction:
    """What was read in one file: a text with its confidence in [0, 1], or why nothing could be."""

    path: str
    text: str = ""
    confidence: float | None = None
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON and CSV values; what is not there is an empty text."""
        return asdict(self) | {"confidence": "" if self.confidence is None else round(self.confidence, 4)}


def image_files(places: Sequence[Path], out: Path | None = None) -> Iterator[Path]:
    """Yield files as named and the images in folders and their folders, sorted by name, listing one folder at a time.

    What a reading writes is not read: a folder `out` below them is passed over, and in `out` itself the drawn pages.
    """
    for place in places:
        if place.is_dir():
            yield from _images_in(place, out.resolve() if out else None)
        else:
            yield place


def _images_in(folder: Path, out: Path | None) -> Iterator[Path]:
    into_it = out is not None and folder.resolve() == out
    for name in sorted(os.listdir(folder)):
        path = folder / name
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            if not (into_it and name.endswith(DRAWN)):
                yield path
        elif path.is_dir() and not path.is_symlink() and path.resolve() != out:
            yield from _images_in(path, out)


def predictions(recognizer: Reader, files: Iterable[Path], batch_size: int = BATCH) -> Iterator[Prediction]:
    """Yield one row a file, in order; a file that cannot be read is a row with its error."""
    waiting, batch_size = iter(files), min(batch_size, recognizer.most_waiting)
    while batch := list(islice(waiting, batch_size)):
        opened = {path: _opened(recognizer, path) for path in batch}
        readable = {path: found for path, found in opened.items() if isinstance(found, np.ndarray)}
        readings = dict(zip(readable, recognizer.read_many(readable.values(), batch_size), strict=True))
        for path in batch:
            if path in readings:
                yield Prediction(str(path), readings[path].text, readings[path].confidence)
            else:
                yield Prediction(str(path), error=str(opened[path]))


def _opened(recognizer: Reader, path: Path) -> np.ndarray | str:
    """Return a file's resized pixels, or why there are none."""
    try:
        return recognizer.resize(read_image(path))
    except BadInput as error:
        return str(error)
    except cv2.error as error:  # sides that OpenCV cannot resize
        return f"{path}: cannot be resized ({error.err})"


@contextmanager
def prediction_files(folder: Path) -> Iterator[Callable[[Prediction], None]]:
    """Yield a function that writes a row to predictions.csv and predictions.txt; both files are whole or not there.

    The text file has `path<TAB>text<TAB>confidence` a line, and the error in the confidence's place where there is none.
    """
    with (
        atomic_path(folder / CSV_FILE) as table,
        atomic_path(folder / TEXT_FILE) as plain,
        table.open("w", encoding="utf-8", newline="") as table_file,
        plain.open("w", encoding="utf-8", newline="\n") as plain_file,
    ):
        writer = csv.DictWriter(table_file, COLUMNS, lineterminator="\n")
        writer.writeheader()

        def write(row: Prediction) -> None:
            cells = row.to_json()
            writer.writerow(cells)
            told = f"error: {row.error}" if row.error else f"{cells['confidence']:.4f}"
            plain_file.write("\t".join(cell.translate(ONE_LINE) for cell in (row.path, row.text, told)) + "\n")

        yield write
