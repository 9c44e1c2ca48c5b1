"""`prepare` for outlined characters: plates → canvases with outlines in Parquet shards, made once and named by their content.

A row is what a row of crops is (`pixels`, `text`, `encoded` where it is held out), and has its characters' outlines beside it:
`pixels` is the image laid onto the canvas of `dataset.image`, RGB, and `outlines` are in pixels of that canvas.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import canonical_json, fingerprint, make_folder, read_json, sha256_bytes, sha256_file, write_json
from glyphyard.core.letterbox import Letterbox
from glyphyard.core.pixels import decode_image
from glyphyard.core.reading_order import read_characters
from glyphyard.core.records import DatasetManifest, SplitRecord
from glyphyard.data.findings import bad_rows, told
from glyphyard.data.fingerprint import PLACES, dataset_folder
from glyphyard.data.hashing import file_hashes
from glyphyard.data.outlines import box_of, pack, thinned, to_canvas
from glyphyard.data.plate_set import PlateSet, gather_plates, rows_in
from glyphyard.data.refusal import listing
from glyphyard.data.region_audit import MarkedPage
from glyphyard.data.shards import OUTLINED_SCHEMA, SplitWriter
from glyphyard.data.sources.page import Page
from glyphyard.data.sources.pages import list_pages
from glyphyard.data.workplace import workplace
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, PageSource, Split

PREPARE_VERSION = 1  # raise it when the same input gives other shards
BLOCK_ROWS = 64  # held in memory at a time
PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plate:
    """One plate with its picture: the encoded file, the decoded image (H,W[,C]), its characters and their outlines in pixels."""

    page: Page
    encoded: bytes
    image: np.ndarray
    labels: tuple[str, ...]
    outlines: tuple[np.ndarray, ...]


def prepare_outlines(
    dataset: DatasetConfig,
    capacity: Capacity,
    store: Path,
    *,
    need: tuple[Split, ...] = ("train",),
    in_process: bool = False,
    say: Say = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Return the folder of the prepared plates, making it first if its content is not in the store yet.

    Raises `BadInput` where too many characters are bad or a side of the split in `need` comes out empty. It needs no Ray.
    """
    store = make_folder(Path(store).absolute())
    identity = identify_outlines(dataset, capacity, store)
    target = dataset_folder(store, identity)
    if (target / "manifest.json").is_file():
        rows = {split: record.rows for split, record in DatasetManifest.read(target / "manifest.json").splits.items()}
        _check_need(rows, need)
        counts = read_json(target / "audit.json")["counts"]
        if counts:
            say(f"audit: {', '.join(f'{n} {kind}' for kind, n in counts.items())} (listed in {target / 'audit.json'})")
        say(f"{_summary(identity, rows)} (cached)")
        return target
    with listing(store, say):
        found = gather_plates(dataset)
    for line in told(found.findings):
        say(line)
    counted: dict[str, int] = {split: len(found.sides[split]) for split in SPLITS}
    _check_need(counted, need)
    canvas = Letterbox(dataset.image.height, dataset.image.width)
    with workplace(target) as folder:
        splits = _write(folder, found, canvas, progress)
        write_json(folder / "audit.json", {"fingerprint": identity, **found.report(dataset.the_alphabet())})
        alphabet = dataset.the_alphabet()
        DatasetManifest(
            fingerprint=identity,
            alphabet=alphabet.characters,
            fold=dict(alphabet.fold),
            pixels=canvas.to_json(),
            sources=[source.name for source in dataset.sources],
            splits=splits,
            bad_rows=len(bad_rows(found.findings)),
            versions={"prepare_outlines": str(PREPARE_VERSION), "opencv": cv2.__version__, "pyarrow": pa.__version__},
            classes=list(alphabet.characters),
        ).write(folder / "manifest.json")
    say(_summary(identity, counted))
    return target


def identify_outlines(dataset: DatasetConfig, capacity: Capacity, store: Path) -> str:
    """Return the name of the prepared plates: the config without places, image and annotation bytes, and the code that draws."""
    del capacity  # how many characters a network can find changes nothing here
    config = dataset.model_dump(mode="json")
    config["sources"] = [{k: v for k, v in source.items() if k not in {*PLACES, "folder"}} for source in config["sources"]]
    content: dict[str, Any] = {}
    for source in dataset.sources:
        assert isinstance(source, PageSource)  # law GY076
        pages = list_pages(source)
        if pages and pages[0].render:
            content[source.name] = _drawing_code()
            continue
        hashes = file_hashes([f for page in pages for f in (page.file, page.annotations) if f], Path(store)) or {}
        listed = [[page.path, hashes.get(page.file or ""), hashes.get(page.annotations or "")] for page in pages]
        content[source.name] = sha256_bytes(canonical_json(listed).encode("utf-8"))
    return fingerprint({"config": config, "content": content, "prepare_outlines": PREPARE_VERSION})


def _drawing_code() -> list[str]:
    here = Path(__file__).parent
    return [sha256_file(here / name) for name in ("synth_outlines.py", "synth/glyphs.py", "synth/strokes.py", "synth/dice.py")]


def _summary(identity: str, rows: dict[str, int]) -> str:
    return f"dataset {identity}: " + " · ".join(f"{rows.get(split, 0):,} {split}" for split in SPLITS) + " plates"


def _check_need(rows: dict[str, int], need: Sequence[Split]) -> None:
    if empty := [split for split in need if not rows.get(split)]:
        found = ", ".join(f"{rows.get(split, 0)} {split}" for split in SPLITS)
        remedy = f"raise dataset.split.{empty[0]}, add plates, or name {empty[0]} in a source's splits"
        raise BadInput("dataset.split", f"the {empty[0]} split came out empty ({found})", remedy)


def _write(folder: Path, found: PlateSet, canvas: Letterbox, progress: Callable[[int, int], None]) -> dict[str, SplitRecord]:
    total, number = sum(map(len, found.sides.values())), 0
    splits: dict[str, SplitRecord] = {}
    progress(0, total)
    for split in SPLITS:
        writer, plates = SplitWriter(folder, split), found.sides[split]
        for start in range(0, len(plates), BLOCK_ROWS):
            block = plates[start : start + BLOCK_ROWS]
            rows = [_row(number + k, plate, canvas, split != "train") for k, plate in enumerate(map(_open, block))]
            number += len(block)
            writer.add(pa.Table.from_pylist([row for row, _ in rows], schema=OUTLINED_SCHEMA), [digest for _, digest in rows])
            progress(number, total)
        if (record := writer.finish()).rows:
            splits[split] = record
    return splits


def _open(plate: MarkedPage | Page) -> Plate:
    if isinstance(plate, MarkedPage):
        file = Path(plate.page.file or "")
        data = file.read_bytes()
        if sha256_bytes(data) != plate.sha256:
            raise BadInput(str(file), "this image changed while it was prepared", "run again when nobody writes to it")
        outlines = tuple(_corners(box) if o is None else o for box, o in zip(plate.boxes, plate.polygons, strict=True))
        return Plate(plate.page, data, decode_image(data, plate.page.path), plate.labels, outlines)
    from glyphyard.data.synth_outlines import render_outlined

    assert plate.render is not None
    seed, index, difficulty = plate.render
    drawn = render_outlined(seed, index, difficulty)
    return Plate(plate, cv2.imencode(".png", drawn.image_bgr, PNG)[1].tobytes(), drawn.image_bgr, drawn.labels, drawn.outlines)


def _corners(box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _row(number: int, plate: Plate, canvas: Letterbox, keep: bool) -> tuple[dict[str, Any], str]:
    """Return a row of OUTLINED_SCHEMA and the hash of its picture and outlines."""
    picture, place = canvas.fit(plate.image)
    outlines = pack(plate.labels, [to_canvas(thinned(o), place) for o in plate.outlines])
    boxes = np.array([box_of(o) for o in plate.outlines]).reshape(-1, 4)
    text = read_characters(boxes, plate.labels)
    page = plate.page
    row = {
        "id": number,
        "pixels": picture.tobytes(),
        "text": text,
        "source": page.source,
        "group": page.group or f"{page.source}:{page.path}",
        "path": page.path,
        "line": 0,
        "meta": canonical_json({"rows": str(rows_in(boxes))}),
        "encoded": plate.encoded if keep else None,
        "outlines": outlines,
    }
    return row, hashlib.sha256(picture.tobytes() + outlines.encode("utf-8")).hexdigest()
