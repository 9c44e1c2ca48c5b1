"""The held-out rows as the device reads them: original bytes → edge.Recognizer → one `Sample` each."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path, sha256_file
from glyphyard.core.pixels import decode_image
from glyphyard.core.records import DatasetManifest, SplitRecord
from glyphyard.edge.recognizer import Recognizer
from glyphyard.recipe.suite import SuiteConfig

COLUMNS = ("id", "path", "line", "source", "group", "text", "meta", "encoded")
PREPARE_AGAIN = "prepare the dataset again"


@dataclass(frozen=True)
class Sample:
    """One held-out crop: what it says, what was read, and what slices it by. `brightness` is the mean grey, 0–255."""

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


def held_out(dataset: Path, manifest: DatasetManifest, suite: SuiteConfig) -> SplitRecord:
    """Return the split that the suite judges; an empty one, or another than the suite's by hash, is a `BadInput`."""
    split = manifest.splits.get(suite.split)
    if split is None or split.rows == 0:
        raise BadInput(
            f"suite {suite.name}",
            f"the {suite.split} split of {dataset} is empty",
            "hold out more groups, or choose another split",
        )
    if suite.split_sha256 not in (None, split.content_sha256):
        expected, found = f"{suite.split_sha256}"[:16], split.content_sha256[:16]
        problem = f"expected the held-out set {expected}…, found {found}… ({split.rows} rows of {split.groups} groups)"
        remedy = "the images, the labels or the split changed: restore them, or state the new hash in the suite"
        raise BadInput(f"suite {suite.name}", problem, remedy)
    for shard in split.shards:
        if not (dataset / shard.path).is_file() or sha256_file(dataset / shard.path) != shard.sha256:
            raise BadInput(
                str(dataset / shard.path), "is not the file that the manifest names (missing or altered)", PREPARE_AGAIN
            )
    return split


def read_samples(recognizer: Recognizer, dataset: Path, split: SplitRecord, batch_size: int) -> Iterator[Sample]:
    """Yield the split's rows in order of their ids, each read from its original bytes; holds one batch at a time."""
    waiting: deque[tuple[dict[str, Any], np.ndarray]] = deque()

    def images() -> Iterator[np.ndarray]:
        for row in _rows(dataset, split, batch_size):
            if row["encoded"] is None:
                raise BadInput(str(dataset), f"row {row['id']} has no image bytes", PREPARE_AGAIN)
            image = decode_image(row.pop("encoded"), row["path"])
            waiting.append((row, image))
            yield image

    for reading in recognizer.stream(images(), batch_size):
        row, image = waiting.popleft()
        yield Sample(
            id=row["id"],
            path=row["path"],
            line=row["line"],
            source=row["source"],
            group=row["group"],
            truth=row["text"],
            read=reading.text,
            confidence=reading.confidence,
            meta=json.loads(row["meta"] or "{}"),
            width_px=image.shape[1],
            brightness=_brightness(image),
        )


def _rows(dataset: Path, split: SplitRecord, batch_size: int) -> Iterator[dict[str, Any]]:
    for shard in split.shards:
        with pq.ParquetFile(dataset / shard.path) as file:
            for batch in file.iter_batches(batch_size=batch_size, columns=list(COLUMNS)):
                yield from batch.to_pylist()


def first_images(dataset: Path, split: SplitRecord, count: int) -> list[np.ndarray]:
    """Return the first images of a split, decoded, for timing."""
    images = []
    for row in _rows(dataset, split, count):
        images.append(decode_image(row["encoded"], row["path"]))
        if len(images) == count:
            break
    return images


def _brightness(image: np.ndarray) -> float:
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if image.shape[2] == 3 else cv2.COLOR_BGRA2GRAY)
    return float(grey.mean())


def write_samples(path: Path, samples: list[Sample], columns: Mapping[str, np.ndarray]) -> None:
    """Write one Parquet row a sample, with the scored `columns` (edits, exact, …) beside what was read; atomically."""
    table = {
        name: [getattr(sample, name) for sample in samples]
        for name in ("id", "path", "line", "source", "group", "truth", "read", "confidence")
    }
    table |= {name: list(values) for name, values in columns.items()}
    table["meta"] = [json.dumps(dict(sample.meta), sort_keys=True, ensure_ascii=False) for sample in samples]
    table |= {"width_px": [sample.width_px for sample in samples], "brightness": [sample.brightness for sample in samples]}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(table), temporary)
