"""What is kept of held-out plates that were looked at: every character that was found, and pictures of a few plates."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth, match_image
from glyphyard.core.files import atomic_path
from glyphyard.core.masks import outline_of
from glyphyard.core.plate_reading import sure_ones
from glyphyard.data.region_sheet import draw_regions
from glyphyard.edge.segmenter import Segmenter
from glyphyard.evaluation.samples import Sample, writing_scores

MOST_DRAWN, WELL_FOUND = 24, 6  # pictures, and how many of them show plates without a mistake
ENLARGED_PX, MOST_PX, QUALITY = 320, 480, 88  # least and largest width of a picture, and quality of its JPEG
FOUND_COLOUR, FILL = (40, 160, 20), 0.45
BLOCK_ROWS = 4096  # characters held before they are written
NUMBERS = pa.list_(pa.float64())
FOUND_SCHEMA = pa.schema(
    {"id": pa.int64(), "path": pa.string(), "class": pa.string(), "score": pa.float64(), "box": NUMBERS, "outline": NUMBERS}
)


@dataclass(frozen=True)
class Seen:
    """One held-out plate: what stands on it, what was found in how many milliseconds, its image and the true outlines in pixels."""

    sample: Sample
    truth: Truth
    found: Detections
    image: np.ndarray
    outlines: list[np.ndarray]
    labels: list[str]
    ms: float


class FoundWriter:
    """Writes one Parquet row a character that was found: its plate, class, score, box and outline in pixels; atomically."""

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path, self._classes = path, classes
        self._rows: list[dict[str, Any]] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open the file under a temporary name."""
        with writing_scores(self._path.parent):
            temporary = self._stack.enter_context(atomic_path(self._path))
            self._file = self._stack.enter_context(pq.ParquetWriter(temporary, FOUND_SCHEMA))
        self._stack.push(self._last_rows)
        return self

    def add(self, seen: Seen) -> None:
        """Take down what was found on a plate."""
        found = seen.found
        for k in range(len(found)):
            row = {
                "id": seen.sample.id,
                "path": seen.sample.path,
                "class": self._classes[int(found.classes[k])],
                "score": float(found.scores[k]),
                "box": found.boxes[k].round(2).tolist(),
                "outline": outline_of(found.masks[k]).reshape(-1).tolist() if found.masks is not None else [],
            }
            self._rows.append(row)
        if len(self._rows) >= BLOCK_ROWS:
            self._flush()

    def _flush(self) -> None:
        with writing_scores(self._path.parent):
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=FOUND_SCHEMA))
        self._rows = []

    def _last_rows(self, raised: type[BaseException] | None, *_: Any) -> None:
        if raised is None:
            self._flush()

    def __exit__(self, *raised: Any) -> bool | None:
        """Give the file its name, or leave none where something was raised."""
        with writing_scores(self._path.parent):
            return self._stack.__exit__(*raised)


class DrawnPlates:
    """The plates that a report shows: the worst first, then some without a mistake; no others are kept."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._worst: list[tuple[int, Seen, dict[str, Any]]] = []
        self._well: list[tuple[int, Seen, dict[str, Any]]] = []

    def add(self, seen: Seen) -> None:
        """Keep a plate if it is among the worst so far, or among the first without a mistake."""
        sure = sure_ones(seen.found, self._segmenter.manifest.confidence)
        hits = int(match_image(seen.truth, sure, None, overlaps=(0.5,)).hit[0].sum())
        row = {"id": seen.sample.id, "missed": len(seen.labels) - hits, "extra": len(sure) - hits}
        misread = self._segmenter.manifest.reads and seen.sample.read != seen.sample.truth
        wrong = row["missed"] + row["extra"] + int(misread)
        kept = self._worst if wrong else self._well
        insort(kept, (wrong, replace(seen, found=sure), row), key=lambda one: -one[0])
        del kept[MOST_DRAWN:]

    def write(self, path: Path) -> None:
        """Draw them into a Parquet file, atomically."""
        chosen = self._worst[: MOST_DRAWN - min(WELL_FOUND, len(self._well))]
        chosen = chosen + self._well[: MOST_DRAWN - len(chosen)]
        table = [row | _drawn(seen, self._segmenter) for _, seen, row in chosen]
        with atomic_path(path) as temporary:
            pq.write_table(pa.Table.from_pylist(table), temporary)


def _drawn(seen: Seen, segmenter: Segmenter) -> dict[str, Any]:
    sure = seen.found
    factor = max(1, -(-ENLARGED_PX // seen.image.shape[1]))
    image = seen.image if seen.image.ndim == 3 else cv2.cvtColor(seen.image, cv2.COLOR_GRAY2BGR)
    large = cv2.resize(image[..., :3], None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    true = draw_regions(large, seen.truth.boxes * factor, seen.labels, [o * factor for o in seen.outlines], named=False)
    names = [segmenter.classes[int(k)] for k in sure.classes]
    made = draw_regions(_filled(large, sure, factor), sure.boxes * factor, names, named=segmenter.manifest.reads)
    reads = segmenter.manifest.reads
    return {
        "path": seen.sample.path,
        "truth": seen.sample.truth,
        "read": seen.sample.read if reads else None,
        "right": seen.sample.read == seen.sample.truth if reads else None,
        "true": _encoded(true),
        "found": _encoded(made),
    }


def _filled(image: np.ndarray, sure: Detections, factor: int) -> np.ndarray:
    picture = image.astype(np.float32)
    for mask in sure.masks if sure.masks is not None else ():
        there = np.kron(mask, np.ones((factor, factor), bool))
        picture[there] = picture[there] * (1 - FILL) + np.array(FOUND_COLOUR, np.float32) * FILL
    return picture.astype(np.uint8)


def _encoded(image: np.ndarray) -> bytes:
    if image.shape[1] > MOST_PX:
        size = (MOST_PX, max(1, round(image.shape[0] * MOST_PX / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
