"""Prepared pages as rows: what stands on each, where its image lies, and the same columns that prepared crops have.

Training rows name their image file; held-out rows carry the image's bytes too, so that a shard's hash stands for them.
`text` says the boxes as JSON, [[label, x1, y1, x2, y2], …] in pixels: the identity of a held-out page holds its boxes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path, canonical_json, sha256_bytes, sha256_file
from glyphyard.core.records import DatasetManifest, Shard, SplitRecord

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("path", pa.string()),
        ("line", pa.int64()),
        ("source", pa.string()),
        ("group", pa.string()),
        ("text", pa.string()),
        ("meta", pa.string()),
        ("encoded", pa.binary()),
    ]
)
PIXELS = {"kind": "encoded"}  # what a manifest says of images that were left as they were


@dataclass(frozen=True)
class PreparedPage:
    """A page with its boxes (N,4) in pixels and their classes (N,); `image` is the file, whole and encoded."""

    id: int
    source: str
    path: str
    group: str
    image: Path
    sha256: str
    width: int
    height: int
    boxes: np.ndarray
    classes: np.ndarray


def boxes_text(boxes_N4: np.ndarray, labels: Sequence[str]) -> str:
    """Return boxes as the row's text, to a tenth of a pixel, in reading order of the file."""
    return canonical_json([[label, *(round(float(v), 1) for v in box)] for label, box in zip(labels, boxes_N4, strict=True)])


def boxes_of(text: str, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a row's text back: boxes (N,4) and the numbers of their classes (N,)."""
    found = json.loads(text)
    boxes = np.array([row[1:] for row in found], np.float64).reshape(-1, 4)
    return boxes, np.array([list(names).index(row[0]) for row in found], np.int64)


def write_rows(folder: Path, split: str, pages: Sequence[PreparedPage], names: Sequence[str], with_bytes: bool) -> SplitRecord:
    """Write a split's rows beside the images and return its record; no shard where there is no page."""
    if not pages:
        return SplitRecord(0, 0, sha256_bytes(b""), [])
    texts = [boxes_text(page.boxes, [names[k] for k in page.classes]) for page in pages]
    table = {
        "id": [page.id for page in pages],
        "path": [page.path for page in pages],
        "line": [0] * len(pages),
        "source": [page.source for page in pages],
        "group": [page.group for page in pages],
        "text": texts,
        "meta": [_meta(page, folder) for page in pages],
        "encoded": [page.image.read_bytes() if with_bytes else None for page in pages],
    }
    name = f"{split}.parquet"
    with atomic_path(folder / name) as temporary:
        pq.write_table(pa.table(table, schema=SCHEMA), temporary, row_group_size=64)
    content = sha256_bytes("".join(f"{p.sha256}\t{text}\n" for p, text in zip(pages, texts, strict=True)).encode("utf-8"))
    groups = len({page.group for page in pages})
    return SplitRecord(len(pages), groups, content, [Shard(name, len(pages), sha256_file(folder / name))])


def _meta(page: PreparedPage, folder: Path) -> str:
    image = str(page.image.relative_to(folder))
    return canonical_json({"width": page.width, "height": page.height, "image": image, "sha256": page.sha256})


def read_rows(folder: Path, manifest: DatasetManifest, split: str) -> list[PreparedPage]:
    """Return a split's pages in order of their ids, without their bytes; a dataset of another kind is a `BadInput`."""
    if manifest.pixels != PIXELS or split not in manifest.splits:
        raise BadInput(str(folder), "holds no prepared pages", "prepare the recipe's data again")
    pages = []
    for shard in manifest.splits[split].shards:
        for row in pq.read_table(folder / shard.path, columns=["id", "path", "source", "group", "text", "meta"]).to_pylist():
            meta = json.loads(row["meta"])
            boxes, classes = boxes_of(row["text"], manifest.classes or ())
            pages.append(
                PreparedPage(
                    row["id"], row["source"], row["path"], row["group"], folder / meta["image"], meta["sha256"],
                    meta["width"], meta["height"], boxes, classes,
                )
            )  # fmt: skip
    return pages
