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
from glyphyard.core.files import atomic_path, sha256_bytes, writing
from glyphyard.core.pixels import PixelContract, decode_image
from glyphyard.data.findings import Kind
from glyphyard.data.near_duplicates import difference_hash
from glyphyard.data.synth_words import WORDS, render_words

if TYPE_CHECKING:  # a Ray task imports this module and needs no pydantic
    from glyphyard.data.sources import Row

CHUNK_ROWS = 256  # never derived from the machine: what a chunk holds must not depend on it
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def chunk_specs(
    rows: Sequence[Row],
    wanted: Sequence[int],
    held_out: set[int],
    pixels: PixelContract,
    folder: Path,
    low: dict[str, Any] | None = None,
) -> list[str]:
    """Return one JSON text a chunk for the rows `wanted`; rows `held_out` keep their encoded image, the device's input.

    `low`: the dataset's `low_resolution`; held-out rows then get a low-resolution side for good.
    """
    specs = []
    for k, start in enumerate(range(0, len(wanted), CHUNK_ROWS)):
        ids = wanted[start : start + CHUNK_ROWS]
        listed = [
            {"id": i, "file": rows[i].file, "render": rows[i].render, "name": rows[i].path, "keep": i in held_out}
            | {"low": rows[i].low, "least": rows[i].min_width_px}
            for i in ids
        ]
        out = str(folder / f"{k:06d}.parquet")
        specs.append(json.dumps({"chunk": k, "out": out, "pixels": pixels.to_json(), "low": low, "rows": listed}))
    return specs


def run_chunk(spec: str) -> str:
    """Make one chunk; returns JSON: {chunk, out, rows: [facts of each row]} or {error: …} for what ends the run."""
    task = json.loads(spec)
    pixels = PixelContract(**task["pixels"])
    facts: list[dict[str, Any]] = []
    table: dict[str, list[Any]] = {"id": [], "pixels": [], "encoded": []} | ({"lr_pixels": []} if task["low"] else {})
    try:
        for row in task["rows"]:
            facts.append(_run_row(row, pixels, table, task["low"]))
        _write(Path(task["out"]), table)
    except GlyphyardError as error:  # as data: a worker's exception would arrive wrapped and with its traceback
        return json.dumps({"error": [type(error).__name__, error.where, error.problem, error.remedy]})
    return json.dumps({"chunk": task["chunk"], "out": task["out"], "rows": facts})


def run_chunk_in_ray(row: dict[str, str]) -> dict[str, str]:
    """Make one chunk as a row of a Ray Data set; Ray runs one task a core, so OpenCV keeps to one thread."""
    cv2.setNumThreads(1)
    return {"report": run_chunk(row["spec"])}


def _run_row(
    row: dict[str, Any], pixels: PixelContract, table: dict[str, list[Any]], low: dict[str, Any] | None
) -> dict[str, Any]:
    render, name = row["render"], row["name"]
    side = name
    try:
        if render:
            image, encoded, identity, extra = _render(render, row["keep"])
        else:
            image, encoded, identity, extra = _read(row["file"], name)
        side = f"{name}, low side"
        small = _read(row["low"], name)[0] if row["low"] and low else None
    except BadInput as error:
        kind = Kind.TOO_MANY_PIXELS if isinstance(error, TooManyPixels) else Kind.UNREADABLE_IMAGE
        return {"id": row["id"], "kind": kind.value, "detail": f"{side}: {error.problem}"}
    if image.shape[1] < row["least"]:
        detail = f"{name} is {image.shape[1]} px wide, min_width_px is {row['least']}"
        return {"id": row["id"], "kind": Kind.TOO_NARROW.value, "detail": detail}
    if small is not None and low and (problem := not_a_multiple(image, small, low["scale"])):
        return {"id": row["id"], "kind": Kind.PAIR_NOT_MULTIPLE.value, "detail": f"{name}: {problem}"}
    resized = pixels.resize(image)
    table["id"].append(row["id"])
    table["pixels"].append(resized.tobytes())
    if low:
        table["lr_pixels"].append(_low_side(resized, small, row, pixels, low))
    table["encoded"].append(encoded if row["keep"] else None)
    size = {"height": image.shape[0], "width": image.shape[1]}
    warnings = _enlarged(name, image, pixels) if low else []
    return {"id": row["id"], "sha256": identity, "dhash": difference_hash(image), "warnings": warnings, **size, **extra}


def _enlarged(name: str, image: np.ndarray, pixels: PixelContract) -> list[tuple[str, str]]:
    if image.shape[1] >= pixels.width:
        return []
    sizes = f"{name}: {image.shape[0]}x{image.shape[1]} is enlarged to the high side's {pixels.height}x{pixels.width}"
    return [
        (Kind.SMALL_HIGH_SIDE.value, f"{sizes} and shows no more than before; min_width_px of its source leaves such crops out")
    ]


def low_contract(pixels: PixelContract, scale: int) -> PixelContract:
    """Return the pixel contract of the low-resolution side."""
    return PixelContract(pixels.height // scale, pixels.width // scale, pixels.channels, pixels.interpolation)


def not_a_multiple(high: np.ndarray, low: np.ndarray, scale: int) -> str:
    """Say what is wrong with a pair whose high side is not `scale` times the low one, "" if nothing is."""
    if high.shape[:2] == (low.shape[0] * scale, low.shape[1] * scale):
        return ""
    sizes = f"high {high.shape[0]}x{high.shape[1]} against low {low.shape[0]}x{low.shape[1]} times scale {scale}"
    return f"[GY059] {sizes}; crop or resize one side, or correct dataset.low_resolution.scale"


def _low_side(
    high: np.ndarray, small: np.ndarray | None, row: dict[str, Any], pixels: PixelContract, low: dict[str, Any]
) -> bytes | None:
    """Return the low side that stays for good: the pair's own, or a made one for a held-out row; None in training."""
    if small is not None:
        return low_contract(pixels, low["scale"]).resize(small).tobytes()
    return _made(high, row["id"], low) if row["keep"] else None


def _made(high: np.ndarray, row_id: int, low: dict[str, Any]) -> bytes:
    import torch  # only for data in two resolutions: a Ray task should start quickly

    from glyphyard.data.degrade import HELD_OUT_EPOCH, degrade
    from glyphyard.recipe.dataset import LowResolutionConfig

    config = LowResolutionConfig.model_validate(low)
    images = torch.from_numpy(high.copy()).unsqueeze(0)
    return degrade(images, torch.tensor([row_id]), HELD_OUT_EPOCH, 0, config).numpy().tobytes()


def _read(file: str, name: str) -> tuple[np.ndarray, bytes, str, dict[str, Any]]:
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise BadInput(name, f"cannot read this image ({error.strerror})") from error
    return decode_image(data, name), data, sha256_bytes(data), {}


def _render(which: Sequence[Any], keep: bool) -> tuple[np.ndarray, bytes | None, str, dict[str, Any]]:
    family, seed, index, difficulty = which
    if family == WORDS:
        plate: Any = render_words(seed, index, difficulty)
    else:
        from glyphyard.data.synth import render_plate

        plate = render_plate(seed, index, family, difficulty=difficulty)
    image = np.ascontiguousarray(plate.image_bgr)
    # The hash is of the pixels, not of the PNG, whose bytes change with the version of zlib.
    identity = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
    encoded = cv2.imencode(".png", image, PNG)[1].tobytes() if keep else None
    return image, encoded, identity, {"text": plate.text, "meta": {k: str(v) for k, v in plate.meta.items()}}


def _write(out: Path, table: dict[str, list[Any]]) -> None:
    columns = {"id": pa.int64(), "pixels": pa.binary(), "encoded": pa.large_binary(), "lr_pixels": pa.binary()}
    arrays = [pa.array(table[name], columns[name]) for name in table]
    with writing(out), atomic_path(out) as temporary:
        pq.write_table(pa.table(arrays, names=list(table)), temporary, compression="NONE", use_dictionary=False)
