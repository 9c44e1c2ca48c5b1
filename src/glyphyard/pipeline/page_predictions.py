"""What stands where on pages: regions found by a detector, read by a reader, in reading order; as rows, as files, as pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.boxes import Detections
from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path, make_folder
from glyphyard.core.pixels import read_image
from glyphyard.core.reading_order import reading_order
from glyphyard.data.region_sheet import COLOURS
from glyphyard.data.synth.faces import draw_word
from glyphyard.edge.catalogue import Reader
from glyphyard.edge.detector import Detector
from glyphyard.pipeline.predictions import DRAWN

CSV_FILE, JSON_FILE = "regions.csv", "regions.json"
COLUMNS = ("path", "region", "x1", "y1", "x2", "y2", "label", "confidence", "text", "text_confidence", "error")
MARGIN = 0.08  # of a region's height, added on all sides: a line that was boxed tightly keeps its ascenders
NOTE_CHARACTERS = 40
FACE = "source-semibold"
QUALITY = 85
LONGEST_PX = 65_500  # of a JPEG


@dataclass(frozen=True)
class Region:
    """A region of a page: its place in reading order (from 1), its box in pixels, and what was read in it."""

    region: int
    box: tuple[float, float, float, float]
    label: str
    confidence: float
    text: str = ""
    text_confidence: float | None = None


@dataclass(frozen=True)
class PageReading:
    """What was found on one page, or why nothing could be; `image` is the page itself, for a picture."""

    path: str
    width: int = 0
    height: int = 0
    regions: list[Region] = field(default_factory=list)
    error: str = ""
    image: np.ndarray | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the page as JSON values."""
        regions = [asdict(region) | {"box": list(region.box)} for region in self.regions]
        return {"path": self.path, "width": self.width, "height": self.height, "regions": regions, "error": self.error}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row of COLUMNS for each region; one with the error where the page could not be read."""
        if self.error:
            yield dict.fromkeys(COLUMNS, "") | {"path": self.path, "error": self.error}
        for region in self.regions:
            corners = dict(zip(("x1", "y1", "x2", "y2"), region.box, strict=True))
            named = {"region": region.region, "label": region.label, "confidence": region.confidence, "text": region.text}
            sure = "" if region.text_confidence is None else region.text_confidence
            yield {"path": self.path, **corners, **named, "text_confidence": sure, "error": ""}


def page_readings(detector: Detector, reader: Reader | None, files: Iterable[Path]) -> Iterator[PageReading]:
    """Yield what stands on each page, in order; a page that cannot be read is one with an error. One page is in memory."""
    for path in files:
        try:
            image = read_image(path)
            reading = _read(str(path), image, detector.find(image), detector.classes, reader)
        except BadInput as error:
            reading = PageReading(str(path), error=str(error))
        yield reading


def _read(path: str, image: np.ndarray, found: Detections, classes: list[str], reader: Reader | None) -> PageReading:
    ordered = found.take(reading_order(found.boxes))
    texts: list[tuple[str, float | None]] = [("", None)] * len(ordered)
    if reader is not None and len(ordered):
        readings = reader.read_many([cut_out(image, box) for box in ordered.boxes])
        texts = [(reading.text, round(reading.confidence, 4)) for reading in readings]
    regions = []
    for i, (box, (text, sure)) in enumerate(zip(ordered.boxes, texts, strict=True)):
        x1, y1, x2, y2 = (round(float(v), 1) for v in box)
        label = classes[int(ordered.classes[i])]
        regions.append(Region(i + 1, (x1, y1, x2, y2), label, round(float(ordered.scores[i]), 4), text, sure))
    return PageReading(path, image.shape[1], image.shape[0], regions, "", image)


def cut_out(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return a region of a page with a margin, at least one pixel of it."""
    height, width = image.shape[:2]
    margin = MARGIN * float(box[3] - box[1])
    low = np.floor(box[:2] - margin).astype(int).clip(0, [width - 1, height - 1])
    high = np.ceil(box[2:] + margin).astype(int).clip(low + 1, [width, height])
    return image[low[1] : high[1], low[0] : high[0]]


def drawn(page: PageReading) -> np.ndarray:
    """Return the page (H,W,3) BGR with its regions outlined, numbered in reading order, and their texts above them."""
    assert page.image is not None
    picture = cv2.cvtColor(page.image, cv2.COLOR_GRAY2BGR) if page.image.ndim == 2 else page.image[..., :3].copy()
    labels = sorted({region.label for region in page.regions})
    thick = max(round(max(picture.shape[:2]) / 600), 1)
    size_px = max(round(max(picture.shape[:2]) / 55), 10)
    for region in page.regions:
        colour = COLOURS[labels.index(region.label) % len(COLOURS)]
        x1, y1, x2, y2 = (round(v) for v in region.box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thick)
        note = f"{region.region}  {region.text[:NOTE_CHARACTERS]}".strip()
        _write_note(picture, draw_word(note, FACE, size_px), x1, y1, colour)
    return picture


def _write_note(picture: np.ndarray, mask: np.ndarray, x: int, y: int, colour: tuple[int, int, int]) -> None:
    """Put lettering (its mask) above a point, on paler paper, as far as it lies on the picture."""
    top, left = max(y - mask.shape[0] - 2, 0), max(x, 0)
    there = picture[top : top + mask.shape[0], left : left + mask.shape[1]]
    ink = mask[: there.shape[0], : there.shape[1], None] / 255.0
    there[...] = (1 - ink) * (0.35 * there + 0.65 * 255) + ink * np.array(colour)


@contextmanager
def page_files(folder: Path) -> Iterator[Callable[[PageReading], None]]:
    """Yield a function that writes a page to regions.csv and regions.json and draws PAGE.regions.jpg; tables are whole or not there.

    Pages of the same name get a number: `a.regions.jpg`, `a.2.regions.jpg`.
    """
    make_folder(folder)
    with (
        atomic_path(folder / CSV_FILE) as table,
        atomic_path(folder / JSON_FILE) as value,
        table.open("w", encoding="utf-8", newline="") as table_file,
        value.open("w", encoding="utf-8") as value_file,
    ):
        writer = csv.DictWriter(table_file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        names: dict[str, int] = {}
        value_file.write("[")

        def write(page: PageReading) -> None:
            value_file.write(",\n" if names else "\n")
            json.dump(page.to_json(), value_file, ensure_ascii=False)
            writer.writerows(page.rows())
            stem = Path(page.path).stem
            names[stem] = names.get(stem, 0) + 1
            if page.image is not None:
                number = f".{names[stem]}" if names[stem] > 1 else ""
                _write_picture(folder / f"{stem}{number}{DRAWN}", drawn(page))

        yield write
        value_file.write("\n]\n")


def _write_picture(path: Path, picture: np.ndarray) -> None:
    if max(picture.shape[:2]) > LONGEST_PX:
        scale = LONGEST_PX / max(picture.shape[:2])
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())
