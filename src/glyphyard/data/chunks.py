"""One chunk of rows: read or render, decode, resize, hash, write. The same function runs in a Ray task and in-process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.errors import BadInput, GlyphyardError, TooManyPixels
from glyphyard.core.files import atomic_path, sha256_bytes
from glyphyard.core.pixels import PixelContract, decode_image
from glyphyard.data.findings import Kind
from glyphyard.data.near_duplicates import difference_hash
from glyphyard.data.workplace import writing

if TYPE_CHECKING:  # a Ray task imports this module and needs no pydantic
    from glyphyard.data.sources import Row

CHUNK_ROWS = 256  # never derived from the machine: what a chunk holds must not depend on it
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def chunk_specs(rows: Sequence[Row], wanted: Sequence[int], held_out: set[int], pixels: PixelContract, folder: Path) -> list[str]:
    """Return one JSON text a chunk for the rows `wanted`; rows `held_out` keep their encoded image, the device's input."""
    specs = []
    for k, start in enumerate(range(0, len(wanted), CHUNK_ROWS)):
        ids = wanted[start : start + CHUNK_ROWS]
        listed = [
            {"id": i, "file": rows[i].file, "render": rows[i].render, "name": rows[i].path, "keep": i in held_out} for i in ids
        ]
        specs.append(
            json.dumps({"chunk": k, "out": str(folder / f"{k:06d}.parquet"), "pixels": pixels.to_json(), "rows": listed})
        )
    return specs


def run_chunk(spec: str) -> str:
    """Make one chunk; returns JSON: {chunk, out, rows: [facts of each row]} or {error: …} for what ends the run."""
    task = json.loads(spec)
    pixels = PixelContract(**task["pixels"])
    facts: list[dict[str, Any]] = []
    table: dict[str, list[Any]] = {"id": [], "pixels": [], "encoded": []}
    try:
        for row in task["rows"]:
            facts.append(_run_row(row, pixels, table))
        _write(Path(task["out"]), table)
    except GlyphyardError as error:  # as data: a worker's exception would arrive wrapped and with its traceback
        return json.dumps({"error": [type(error).__name__, error.where, error.problem, error.remedy]})
    return json.dumps({"chunk": task["chunk"], "out": task["out"], "rows": facts})


def run_chunk_in_ray(row: dict[str, str]) -> dict[str, str]:
    """Make one chunk as a row of a Ray Data set; Ray runs one task a core, so OpenCV keeps to one thread."""
    cv2.setNumThreads(1)
    return {"report": run_chunk(row["spec"])}


def _run_row(row: dict[str, Any], pixels: PixelContract, table: dict[str, list[Any]]) -> dict[str, Any]:
    render, name = row["render"], row["name"]
    try:
        if render:
            image, encoded, identity, extra = _render(render, row["keep"])
        else:
            image, encoded, identity, extra = _read(row["file"], name)
    except BadInput as error:
        kind = Kind.TOO_MANY_PIXELS if isinstance(error, TooManyPixels) else Kind.UNREADABLE_IMAGE
        return {"id": row["id"], "kind": kind.value, "detail": f"{name}: {error.problem}"}
    table["id"].append(row["id"])
    table["pixels"].append(pixels.resize(image).tobytes())
    table["encoded"].append(encoded if row["keep"] else None)
    size = {"height": image.shape[0], "width": image.shape[1]}
    return {"id": row["id"], "sha256": identity, "dhash": difference_hash(image), **size, **extra}


def _read(file: str, name: str) -> tuple[np.ndarray, bytes, str, dict[str, Any]]:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise BadInput(name, f"cannot read this image ({error.strerror})") from error
    return decode_image(data, name), data, sha256_bytes(data), {}


def _render(which: Sequence[Any], keep: bool) -> tuple[np.ndarray, bytes | None, str, dict[str, Any]]:
    from glyphyard.data.synth import render_plate

    family, seed, index, difficulty = which
    plate = render_plate(seed, index, family, difficulty=difficulty)
    image = np.ascontiguousarray(plate.image_bgr)
    # The hash is of the pixels, not of the PNG, whose bytes change with the version of zlib.
    identity = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
    encoded = cv2.imencode(".png", image, PNG)[1].tobytes() if keep else None
    return image, encoded, identity, {"text": plate.text, "meta": {k: str(v) for k, v in plate.meta.items()}}


def _write(out: Path, table: dict[str, list[Any]]) -> None:
    columns = {"id": pa.int64(), "pixels": pa.binary(), "encoded": pa.large_binary()}
    arrays = [pa.array(table[name], kind) for name, kind in columns.items()]
    with writing(out), atomic_path(out) as temporary:
        pq.write_table(pa.table(arrays, names=list(columns)), temporary, compression="NONE", use_dictionary=False)
