"""Real crops for parity and golden vectors: spread evenly over a split, already resized; and what is to be read of them, in batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow.parquet as pq

from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest, SplitRecord

BATCH = 64
T = TypeVar("T")
Show = Callable[
    [list[dict[str, Any]]], list[np.ndarray]
]  # rows of a dataset → the crops that are read, where those are made of them
SPLITS = ("validation", "test", "train")  # the first that has rows
SHOWN = ("id", "pixels", "lr_pixels")  # the columns that a `Show` gets


def spread_crops(
    dataset: Path,
    manifest: DatasetManifest,
    pixels: PixelContract,
    count: int,
    splits: Sequence[str] = SPLITS,
    show: Show | None = None,
) -> list[np.ndarray]:
    """Return at most `count` crops (H,W) or (H,W,3) uint8 as they are read, evenly spaced over the split in order of their ids.

    The split is the first of `splits` that has rows; none of them is a `BadInput`.
    """
    if manifest.pixels != pixels.to_json():
        raise BadInput(
            str(dataset), f"was prepared for pixels {manifest.pixels}, the recipe has {pixels.to_json()}", "prepare it again"
        )
    split = split_of(dataset, manifest, splits)
    if show is not None:
        return show(list(spread_rows(dataset, split, count, SHOWN)))
    return [to_array(row["pixels"], pixels) for row in spread_rows(dataset, split, count, ("pixels",))]


def split_of(dataset: Path, manifest: DatasetManifest, splits: Sequence[str]) -> SplitRecord:
    """Return the first of `splits` that has rows; none of them is a `BadInput`."""
    split = next((manifest.splits[name] for name in splits if name in manifest.splits and manifest.splits[name].rows), None)
    if split is None:
        raise BadInput(str(dataset), f"has no rows in {' or '.join(splits)}", "prepare it again")
    return split


def spread_rows(dataset: Path, split: SplitRecord, count: int, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield these columns of at most `count` rows, evenly spaced over the split in order of their ids."""
    wanted, first = np.unique(np.linspace(0, split.rows - 1, min(count, split.rows)).round().astype(int)), 0
    for shard in split.shards:
        here = wanted[(wanted >= first) & (wanted < first + shard.rows)] - first
        if len(here):
            yield from pq.read_table(dataset / shard.path, columns=list(columns)).take(here).to_pylist()
        first += shard.rows


def batches_of(crops: Sequence[np.ndarray], pixels: PixelContract) -> list[np.ndarray]:
    """Return resized crops as the model's input, a batch at a time."""
    return [pixels.batch(list(crops[i : i + BATCH])) for i in range(0, len(crops), BATCH)]


def on_all_cores(run: Callable[[np.ndarray], T], batches_NCHW: Sequence[np.ndarray]) -> list[T]:
    """Return what `run` gives for each batch, in order; a session of one thread is asked by as many threads as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(run, batches_NCHW))


def to_array(data: bytes, pixels: PixelContract) -> np.ndarray:
    """Return the image that a row holds, (H,W) or (H,W,C) uint8."""
    shape = (pixels.height, pixels.width) if pixels.channels == 1 else (pixels.height, pixels.width, pixels.channels)
    return np.frombuffer(data, np.uint8).reshape(shape)
