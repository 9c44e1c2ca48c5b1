"""The held-out rows as the device reads them: original bytes → edge.Recognizer → one `Sample` each."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path, sha256_file, writing
from glyphyard.core.pixels import decode_image, pair_identity
from glyphyard.core.records import DatasetManifest, SplitRecord
from glyphyard.edge.recognizer import Recognizer
from glyphyard.evaluation.held_out import HeldOutRow, image_identity
from glyphyard.recipe.suite import SuiteConfig

COLUMNS = ("id", "path", "line", "source", "group", "text", "meta", "encoded", "lr_pixels")  # the last where there is one
PREPARE_AGAIN = "prepare the dataset again"


@dataclass(frozen=True)
class Sample:
    """One held-out crop: what it says, what was read, and what slices it by.

    `confidence` is NaN where nobody stated one; `brightness` is the mean grey, 0–255.
    """

    id: int
    path: str
    line: int
    source: str
    group: str
    truth: str
    read: str
    confidence: float
    meta: Mapping[str, str] = field(default_factory=dict)
    width_px: int = 0
    brightness: float = 0.0
    image_sha256: str = ""

    @property
    def row(self) -> HeldOutRow:
        """The sample as a row of its held-out set."""
        return HeldOutRow(self.image_sha256, self.truth, self.path)


def held_out(dataset: Path, manifest: DatasetManifest, suite: SuiteConfig) -> SplitRecord:
    """Return the split that the suite judges; an empty or altered one is a `BadInput`."""
    split = manifest.splits.get(suite.split)
    if split is None or split.rows == 0:
        raise BadInput(
            f"suite {suite.name}",
            f"the {suite.split} split of {dataset} is empty",
            "hold out more groups, or choose another split",
        )
    for shard in split.shards:
        if not (dataset / shard.path).is_file() or sha256_file(dataset / shard.path) != shard.sha256:
            raise BadInput(
                str(dataset / shard.path), "is not the file that the manifest names (missing or altered)", PREPARE_AGAIN
            )
    return split


def held_out_rows(dataset: Path, split: SplitRecord) -> list[HeldOutRow]:
    """Return the split's rows by the hashes of their images; no model is needed."""
    columns = ("text", "path", "encoded", "lr_pixels")
    return [
        HeldOutRow(_identity(row, row["encoded"] or b""), row["text"], row["path"])
        for row in rows_of(dataset, split, columns=columns)
    ]


def _identity(row: Mapping[str, Any], encoded: bytes, image: np.ndarray | None = None) -> str:
    return pair_identity(image_identity(encoded, row["path"], image), row.get("lr_pixels"))


def read_samples(
    recognizer: Recognizer, dataset: Path, split: SplitRecord, batch_size: int, start: int = 0, stop: int | None = None
) -> Iterator[Sample]:
    """Yield the split's rows `start` to `stop` in order of their ids, each read from its original bytes; one batch at a time.

    A start at a multiple of the batch size gives every crop the batch that it has in the whole.
    """
    waiting: deque[tuple[dict[str, Any], np.ndarray]] = deque()

    def images() -> Iterator[np.ndarray]:
        for row in rows_of(dataset, split, start, stop, batch_size):
            row, image = opened(row, dataset)
            waiting.append((row, image))
            yield image

    for reading in recognizer.stream(images(), batch_size):
        row, image = waiting.popleft()
        yield sample_of(row, image, reading.text, reading.confidence)


def opened(row: dict[str, Any], dataset: Path) -> tuple[dict[str, Any], np.ndarray]:
    """Decode a row's image; the row carries its hash from now on, in place of its bytes."""
    if row["encoded"] is None:
        raise BadInput(str(dataset), f"row {row['id']} has no image bytes", PREPARE_AGAIN)
    encoded = row.pop("encoded")
    image = decode_image(encoded, row["path"])
    row["image_sha256"] = _identity(row, encoded, image)
    return row, image


def sample_of(row: Mapping[str, Any], image: np.ndarray, read: str, confidence: float) -> Sample:
    """Put together what is known of a row and what was read in it."""
    return Sample(
        id=row["id"],
        path=row["path"],
        line=row["line"],
        source=row["source"],
        group=row["group"],
        truth=row["text"],
        read=read,
        confidence=confidence,
        meta=json.loads(row["meta"] or "{}"),
        width_px=image.shape[1],
        brightness=_brightness(image),
        image_sha256=row["image_sha256"],
    )


def rows_of(
    dataset: Path,
    split: SplitRecord,
    start: int = 0,
    stop: int | None = None,
    batch_size: int = 256,
    columns: Sequence[str] = COLUMNS,
) -> Iterator[dict[str, Any]]:
    """Yield rows `start` to `stop` of a split's shards in order, holding `batch_size` of them."""
    at, stop = 0, split.rows if stop is None else stop
    for shard in split.shards:
        if start < at + shard.rows and at < stop:
            yield from _rows_of_shard(dataset / shard.path, start - at, stop - at, batch_size, columns)
        at += shard.rows


def _rows_of_shard(path: Path, start: int, stop: int, batch_size: int, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        at = 0
        for batch in file.iter_batches(batch_size=batch_size, columns=list(columns)):
            low, high = max(0, start - at), min(len(batch), stop - at)
            if low < high:
                yield from batch.slice(low, high - low).to_pylist()
            at += len(batch)


def first_images(dataset: Path, split: SplitRecord, count: int) -> list[np.ndarray]:
    """Return the first images of a split, decoded, for timing."""
    return [decode_image(row["encoded"], row["path"]) for row in rows_of(dataset, split, 0, count, count)]


def _brightness(image: np.ndarray) -> float:
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY)
    return float(grey.mean())


_PLAIN = ("id", "path", "line", "source", "group", "truth", "read", "width_px", "brightness", "image_sha256")


def writing_scores(out: Path) -> AbstractContextManager[None]:
    """Turn a write that the disk refuses into a `BadInput` that names the evaluation's folder and how to go on."""
    return writing(out, "free some space and evaluate again; a run goes on with --resume")


def write_samples(path: Path, samples: Sequence[Sample], columns: Mapping[str, np.ndarray]) -> None:
    """Write one Parquet row a sample, with the scored `columns` (edits, exact, …) beside what was read; atomically."""
    table: dict[str, list[Any]] = {name: [getattr(sample, name) for sample in samples] for name in _PLAIN}
    table["confidence"] = [None if math.isnan(sample.confidence) else sample.confidence for sample in samples]
    table |= {name: list(values) for name, values in columns.items()}
    table["meta"] = [json.dumps(dict(sample.meta), sort_keys=True, ensure_ascii=False) for sample in samples]
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(table), temporary)


def load_samples(path: Path) -> list[Sample]:
    """Read back what `write_samples` wrote; a file of another version is a `BadInput`."""
    try:
        rows = pq.read_table(path, columns=[*_PLAIN, "confidence", "meta"]).to_pylist()
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        raise BadInput(
            str(path), f"expected samples of this version ({str(error).splitlines()[0][:100]})", "evaluate again"
        ) from error
    return [
        Sample(
            **{name: row[name] for name in _PLAIN},
            confidence=math.nan if row["confidence"] is None else row["confidence"],
            meta=json.loads(row["meta"] or "{}"),
        )
        for row in rows
    ]
