"""golden.npz: what a bundle has to do again on the device; arrays in a compressed file that may claim any size and hold anything."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from glyphyard.core.boxes import Detections
from glyphyard.core.errors import BadInput

MAX_GOLDEN_BYTES = 256 << 20  # unpacked
EXPORT_AGAIN = "copy the bundle again or export it again"


def pack_arrays(**arrays: np.ndarray) -> bytes:
    """Return golden.npz as bytes, the same for the same content."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_arrays(data: bytes, where: str, *names: str) -> list[np.ndarray]:
    """Read the arrays `names` of a golden.npz back; one that is missing, holds objects or unpacks to too much is a `BadInput`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_GOLDEN_BYTES:
            raise BadInput(where, f"unpacks to {size >> 20} MiB, more than {MAX_GOLDEN_BYTES >> 20}", EXPORT_AGAIN)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (ValueError, KeyError, OSError, EOFError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise BadInput(where, f"expected {', '.join(names)}; this file cannot be read ({error})", EXPORT_AGAIN) from error


@dataclass(frozen=True)
class GoldenCanvases:
    """Canvases (N,H,W,3) uint8 RGB, and what the bundle found on each when it was made, in pixels of the canvas."""

    images: np.ndarray
    found: list[Detections]


def pack_canvases(golden: GoldenCanvases) -> bytes:
    """Return golden.npz as bytes; masks are not kept."""
    every = golden.found
    return pack_arrays(
        images=golden.images,
        counts=np.array([len(found) for found in every], np.int64),
        boxes=np.concatenate([found.boxes for found in every]).reshape(-1, 4),
        scores=np.concatenate([found.scores for found in every]),
        classes=np.concatenate([found.classes for found in every]).astype(np.int64),
    )


def unpack_canvases(data: bytes, where: str, height: int, width: int) -> GoldenCanvases:
    """Read golden.npz back; counts that do not add up, or canvases of another size, are a `BadInput`."""
    images, counts, *found = unpack_arrays(data, where, "images", "counts", "boxes", "scores", "classes")
    frame = (height, width, 3)
    if images.dtype != np.uint8 or images.shape != (len(images), *frame) or not len(images):
        raise BadInput(where, f"expected uint8 canvases of {frame}, found {images.dtype} {images.shape}", EXPORT_AGAIN)
    boxes, scores, classes = found
    lengths = {len(array) if array.ndim else -1 for array in found}
    plain = counts.shape == (len(images),) and counts.dtype.kind in "iu" and (counts >= 0).all()
    if not plain or lengths != {int(counts.sum())} or boxes.shape[1:] != (4,) or scores.ndim != 1 or classes.ndim != 1:
        raise BadInput(
            where, "expected boxes with a score and a class each for every canvas, found counts that do not add up", EXPORT_AGAIN
        )
    ends = np.cumsum(counts)[:-1]
    parts = zip(*(np.split(array, ends) for array in found), strict=True)
    return GoldenCanvases(images, [Detections(*part) for part in parts])
