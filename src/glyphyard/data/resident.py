"""A rank's share of a prepared split, resident as one uint8 tensor (a 32×128 crop is 4 KB)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest, SplitRecord

COLUMNS = ["id", "pixels", "text", "source"]


@dataclass(frozen=True)
class ResidentSplit:
    """Rows of one rank in order of their ids: images (N,H,W) or (N,H,W,3) uint8, texts, ids (N,) int64, sources.

    `more`: further tensors of N rows: see `low_side` and `Outlined`.
    """

    images: torch.Tensor
    texts: list[str]
    ids: torch.Tensor
    sources: list[str]
    more: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.texts)


def split_record(folder: Path, split: str) -> tuple[SplitRecord, tuple[int, ...]]:
    """Return the record of a split and the shape of its images; a split that the dataset lacks is a `BadInput`."""
    manifest = DatasetManifest.read(Path(folder) / "manifest.json")
    if split not in manifest.splits:
        raise BadInput(
            str(folder), f"this dataset has no {split} split (it has {sorted(manifest.splits)})", f"raise dataset.split.{split}"
        )
    pixels = manifest.pixels
    channels = pixels.get("channels", 3)  # a letterbox's canvas is always in colour
    return manifest.splits[split], (pixels["height"], pixels["width"]) + ((channels,) if channels > 1 else ())


def load_resident(folder: Path, split: str, rank: int = 0, world: int = 1) -> ResidentSplit:
    """Load rows rank, rank + world, … of a split into memory; all ranks together hold each row once."""
    record, shape = split_record(folder, split)
    images = np.empty((len(range(rank, record.rows, world)), *shape), np.uint8)
    ids = np.empty(len(images), np.int64)
    texts: list[str] = []
    sources: list[str] = []
    low: list[bytes | None] = []
    low_shape, outlined = low_shape_of(folder), Outlined.of(folder)
    outlines: list[str] = []
    more = [*(["lr_pixels"] if low_shape else []), *(["outlines"] if outlined else [])]
    seen = at = 0
    for shard in record.shards:
        table = pq.read_table(Path(folder) / shard.path, columns=[*COLUMNS, *more])
        mine = np.arange((rank - seen) % world, len(table), world)
        images[at : at + len(mine)] = pixels_of(table["pixels"], shape)[mine]
        ids[at : at + len(mine)] = table["id"].to_numpy()[mine]
        texts += table["text"].take(mine).to_pylist()
        sources += table["source"].take(mine).to_pylist()
        low += table["lr_pixels"].take(mine).to_pylist() if low_shape else []
        outlines += table["outlines"].take(mine).to_pylist() if outlined else []
        at += len(mine)
        seen += len(table)
    tensors = low_side(low, low_shape) | (outlined.padded(outlines) if outlined else {})
    return ResidentSplit(torch.from_numpy(images), texts, torch.from_numpy(ids), sources, tensors)


@dataclass(frozen=True)
class Outlined:
    """What the rows' outlines can be: class names by number, and which character counts as which."""

    classes: tuple[str, ...]
    fold: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> Outlined | None:
        """Return it for a dataset whose rows have outlines, None for others."""
        manifest = DatasetManifest.read(Path(folder) / "manifest.json")
        outlined = "prepare_outlines" in manifest.versions
        return cls(tuple(manifest.classes), manifest.fold) if outlined else None

    def padded(self, rows: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return "labels" and "outlines" of rows: see outlines.padded."""
        from glyphyard.data.outlines import padded  # brings OpenCV, which crops do without

        return padded(rows, self.classes, self.fold)


def low_shape_of(folder: Path) -> tuple[int, ...]:
    """Return the shape of the low-resolution side of a dataset's rows, () where they have none."""
    pixels = DatasetManifest.read(Path(folder) / "manifest.json").low_pixels
    if pixels is None:
        return ()
    return (pixels["height"], pixels["width"]) + ((pixels["channels"],) if pixels["channels"] > 1 else ())


def low_side(values: list[bytes | None], shape: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Return "low", (N, *shape) uint8, and "paired", (N,) bool: which rows have a low side of their own; {} where none has."""
    if all(value is None for value in values):
        return {}
    size = int(np.prod(shape))
    if strange := {len(value) for value in values if value is not None} - {size}:
        problem = f"expected {size} bytes of lr_pixels in every row, found {sorted(strange)}"
        raise BadInput("prepared dataset", problem, "prepare it again")
    data = b"".join(value if value is not None else bytes(size) for value in values)
    low = np.frombuffer(bytearray(data), np.uint8).reshape(-1, *shape)
    return {"low": torch.from_numpy(low), "paired": torch.tensor([value is not None for value in values])}


def pixels_of(column: pa.ChunkedArray, shape: Sequence[int]) -> np.ndarray:
    """Return a column of equally long binaries as (N, *shape) uint8, without a loop over rows (a view where it is one chunk)."""
    parts = [_flat(chunk, tuple(shape)) for chunk in column.chunks if len(chunk)]
    if not parts:
        return np.empty((0, *shape), np.uint8)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _flat(chunk: pa.Array, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    _, offsets, data = chunk.buffers()
    bounds = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    if (np.diff(bounds) != size).any():
        raise BadInput(
            "prepared dataset",
            f"expected {size} bytes of pixels in every row, found {sorted(set(np.diff(bounds)))}",
            "prepare it again",
        )
    return np.frombuffer(data, np.uint8, count=len(chunk) * size, offset=int(bounds[0])).reshape(-1, *shape)
