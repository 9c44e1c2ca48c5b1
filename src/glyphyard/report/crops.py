"""The crops that a report shows: the worst readings and a few right ones, with their pictures as data URIs.

Where a generator enlarges the crops, the picture that was read is what it made: shown as far as the evaluation kept it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.alphabet import text_policy
from glyphyard.core.records import DatasetManifest
from glyphyard.core.text_metrics import GAP, align

MOST_WRONG, MOST_RIGHT = 28, 8
MOST_BYTES = 120_000  # a larger picture is scaled down
STRIPS = "strips.parquet"
# What a picture shows where crops are enlarged before they are read: the name under it, and what that means.
SIDES = {
    "made": ("super-resolution", "what the generator made of the small crop, as it was read"),
    "low": ("low resolution", "the small crop itself; what was read is what the generator made of it, kept of a few crops only"),
    "hr": ("high resolution", "the original, which was not read; the small crop is not there"),
}
_MAGIC = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"GIF8", "gif"), (b"BM", "bmp"))


@dataclass(frozen=True)
class Column:
    """One place of an alignment: what stands there, what was read, and whether that is right."""

    true: str
    read: str
    right: bool


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI ("" where it cannot be shown); `side`: a key of SIDES, or "" of a crop that was read as it is."""

    uri: str = ""
    side: str = ""

    @property
    def name(self) -> str:
        """What stands under it."""
        return SIDES[self.side][0] if self.uri and self.side else ""


@dataclass(frozen=True)
class Crop:
    """One reading with its picture ("" where it cannot be shown) and what that shows, if it has to be said."""

    path: str
    truth: str
    read: str
    columns: list[Column]
    confidence: float | None
    edits: int
    source: str
    image: str
    side: str


@dataclass(frozen=True)
class Crops:
    """The chosen readings, how many wrong and right ones there are in all, and what the pictures show, if it has to be said."""

    wrong: list[Crop]
    right: list[Crop]
    wrong_in_all: int
    right_in_all: int
    about: str


def choose_crops(
    samples: Path,
    dataset: Path | None,
    manifest: DatasetManifest | None,
    split: str,
    recipe: Mapping[str, Any],
    enlarged: bool = False,
) -> Crops:
    """Read samples.parquet and choose: wrong ones by edits, then by how sure the reader was; right ones spread over confidence.

    `enlarged`: a generator enlarges the crops before they are read, so that another picture than the original is shown.
    """
    import pyarrow.parquet as pq

    rows = pq.read_table(samples).to_pylist()
    wrong = sorted((r for r in rows if not r["exact"]), key=lambda r: (-int(r["edits"]), -_confidence(r), str(r["path"])))
    right = sorted((r for r in rows if r["exact"]), key=lambda r: (_confidence(r), str(r["path"])))
    spread = [right[i] for i in np.unique(np.linspace(0, len(right) - 1, min(MOST_RIGHT, len(right))).round().astype(int))]
    shown = [*wrong[:MOST_WRONG], *spread]
    ids = {int(r["id"]) for r in shown}
    pictures = load_pictures(dataset, manifest, split, ids, enlarged) if dataset and manifest else {}
    pictures |= _made_pictures(samples.parent / STRIPS, ids) if enlarged else {}
    fold = fold_of(recipe)
    crops = [_crop(r, pictures.get(int(r["id"]), Picture()), fold) for r in shown]
    about = sides_in_words(pictures.values())
    return Crops(crops[: len(wrong[:MOST_WRONG])], crops[len(wrong[:MOST_WRONG]) :], len(wrong), len(right), about)


def _crop(row: dict[str, Any], picture: Picture, fold: Mapping[str, str]) -> Crop:
    truth, read = str(row["truth"]), str(row["read"])
    confidence = row.get("confidence")
    return Crop(
        str(row.get("path") or ""), truth, read, columns_of(truth, read, fold),
        None if confidence is None else float(confidence), int(row["edits"]), str(row.get("source") or ""),
        picture.uri, picture.name,
    )  # fmt: skip


def columns_of(truth: str, read: str, fold: Mapping[str, str]) -> list[Column]:
    """Align truth and reading for the eye; characters that the suite counts as one are right, whatever stands there."""
    pairs = align("".join(fold.get(c, c) for c in truth), "".join(fold.get(c, c) for c in read))
    trues, reads = iter(truth), iter(read)
    return [Column(next(trues) if a != GAP else GAP, next(reads) if b != GAP else GAP, a == b) for a, b in pairs]


def fold_of(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return the text policy of the recipe's dataset and suite."""
    suite = recipe.get("suite") or {}
    parts = (recipe.get("dataset") or {}, suite)
    return text_policy([group for part in parts for group in part.get("equivalences") or ()], suite.get("case", "keep"))


def sides_in_words(pictures: Iterable[Picture]) -> str:
    """Say what these pictures show; nothing where all crops were read as they are."""
    shown = {picture.side for picture in pictures if picture.uri}
    said = [f"{name.capitalize()}: {meaning}." for side, (name, meaning) in SIDES.items() if side in shown]
    return " ".join(["Each picture says what it shows.", *said]) if said else ""


def load_pictures(
    dataset: Path, manifest: DatasetManifest, split: str, ids: set[int], enlarged: bool = False
) -> dict[int, Picture]:
    """Return the pictures of these rows: the original bytes, or the resized pixels where there are none.

    `enlarged`: the small side instead, which was enlarged before it was read, in every row that has one.
    """
    import pyarrow.parquet as pq

    found: dict[int, Picture] = {}
    columns = ["id", "pixels", "encoded", *(["lr_pixels"] if enlarged and manifest.low_pixels else [])]
    for shard in manifest.splits[split].shards if split in manifest.splits else ():
        if (dataset / shard.path).is_file():
            table = pq.read_table(dataset / shard.path, columns=columns, filters=[("id", "in", list(ids))])
            found |= {int(row["id"]): _picture(row, manifest, enlarged) for row in table.to_pylist()}
    return found


def _picture(row: dict[str, Any], manifest: DatasetManifest, enlarged: bool) -> Picture:
    if small := _pixels_uri(row.get("lr_pixels"), manifest.low_pixels or {}):
        return Picture(small, "low")
    return Picture(data_uri(row["encoded"]) or _pixels_uri(row["pixels"], manifest.pixels), "hr" if enlarged else "")


def _made_pictures(strips: Path, ids: set[int]) -> dict[int, Picture]:
    """Return what the generator made of these rows, as far as the evaluation kept it."""
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(strips, columns=["id", "made"], filters=[("id", "in", list(ids))]).to_pylist()
    except (OSError, ValueError, KeyError):  # none, or a broken file: the strips' own section says so
        return {}
    return {int(row["id"]): Picture(uri, "made") for row in rows if (uri := data_uri(row["made"]))}


def data_uri(encoded: bytes | None) -> str:
    """Return a picture's bytes as a data URI, scaled down if they are many; "" for anything but a picture."""
    kind = next((kind for magic, kind in _MAGIC if encoded and encoded.startswith(magic)), None)
    if encoded and kind and len(encoded) <= MOST_BYTES:
        return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR) if encoded else None
    return _png_uri(image) if image is not None else ""


def _pixels_uri(pixels: bytes | None, contract: Mapping[str, Any]) -> str:
    try:
        shape = (int(contract["height"]), int(contract["width"]), int(contract["channels"]))
        return _png_uri(np.frombuffer(pixels or b"", np.uint8).reshape(shape))
    except (KeyError, ValueError):
        return ""


def _png_uri(image: np.ndarray) -> str:
    if image.shape[1] > 320:
        image = cv2.resize(image, (320, max(1, image.shape[0] * 320 // image.shape[1])), interpolation=cv2.INTER_AREA)
    good, data = cv2.imencode(".png", image)
    return f"data:image/png;base64,{base64.b64encode(data.tobytes()).decode()}" if good else ""


def _confidence(row: dict[str, Any]) -> float:
    value = row.get("confidence")
    return float(value) if value is not None else 0.0
