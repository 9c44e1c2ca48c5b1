"""`prepare` for pages: sources with boxes → one audited, split YOLO folder in the store, made once and named by its content.

Images stay encoded as they were: a detector's library reads, resizes and augments them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from glyphyard.core.boxes import to_corners
from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import fingerprint, make_folder, sha256_bytes, sha256_file, write_json
from glyphyard.core.pixels import write_png
from glyphyard.core.records import DatasetManifest
from glyphyard.data.drawn_pages import CLASS, Drawing, draw_all
from glyphyard.data.findings import told
from glyphyard.data.fingerprint import dataset_folder
from glyphyard.data.page_rows import PIXELS, PreparedPage, write_rows
from glyphyard.data.page_set import PageSet, gather_pages
from glyphyard.data.refusal import listing
from glyphyard.data.region_audit import MarkedPage, measure_image
from glyphyard.data.region_masks import sheet_of
from glyphyard.data.workplace import workplace
from glyphyard.data.yolo_folder_writer import FOLDERS, label_lines, make_folders, put_page, write_yaml
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, Split

PREPARE_VERSION = 2  # raise it when the same input gives another folder
CHUNK = 25
SHOWN = 24
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Entry:
    """A page on its way into the folder: its file's name there, and where it came from."""

    split: Split
    name: str
    source: str
    path: str
    group: str


def identify_pages(dataset: DatasetConfig, capacity: Capacity, store: Path) -> str:
    """Return the name of the prepared pages; `capacity` plays no part."""
    found = gather_pages(dataset)
    return _identity(found, _names(found))


def prepare_pages(
    dataset: DatasetConfig,
    capacity: Capacity,
    store: Path,
    *,
    need: tuple[Split, ...] = ("train", "validation"),
    in_process: bool = False,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> Path:
    """Return the folder of the prepared pages: dataset.yaml, images/, labels/, *.parquet, audit.json, boxes.png, manifest.json.

    Classes are the labels that occur, in order. Drawn pages are drawn by as many processes as there are cores, or in this
    one. Too many bad regions, and a split in `need` that comes out empty, are a `BadInput`.
    """
    store = Path(store).absolute()
    with listing(store, say):
        found = gather_pages(dataset)
    names = _names(found)
    counts = {split: len(found.pages[split]) + len(found.drawn[split]) for split in SPLITS}
    if empty := [split for split in need if not counts[split]]:
        shown = ", ".join(f"{n} {split}" for split, n in counts.items())
        raise BadInput("dataset.split", f"the {empty[0]} split came out empty ({shown})", "add pages, or hold out another share")
    identity = _identity(found, names)
    target = dataset_folder(make_folder(store), identity)
    for line in told(found.findings):
        say(line)
    if not (target / "manifest.json").is_file():
        with workplace(target) as folder:
            entries = _write(folder, found, names, 1 if in_process else None, progress)
            write_json(folder / "audit.json", found.report())
            sources = [source.name for source in dataset.sources]
            _manifest(folder, identity, sources, names, found, entries).write(folder / "manifest.json")
    return target


def _names(found: PageSet) -> tuple[str, ...]:
    labels = {label for pages in found.pages.values() for page in pages for label in page.labels}
    return tuple(sorted(labels | ({CLASS} if any(found.drawn.values()) else set()))) or (CLASS,)


def _identity(found: PageSet, names: Sequence[str]) -> str:
    """Name the content: images by their bytes, boxes to a hundredth of a pixel, drawn pages by seed, index and code."""
    pages = {
        split: sorted(
            [p.page.source, p.sha256, list(p.labels), [[round(float(v), 2) for v in box] for box in p.boxes], *_group(p)]
            for p in found.pages[split]
        )
        for split in SPLITS
    }
    drawn: dict[str, Any] = {split: [[p.source, *(p.render or ())] for p in found.drawn[split]] for split in SPLITS}
    if any(drawn.values()):
        room = Path(__file__).parent / "synth"
        files = [
            *sorted((room / "pages").glob("*.py")),
            room / "faces.py",
            room / "dice.py",
            Path(__file__).parent / "drawn_pages.py",
        ]
        drawn["code"] = [sha256_file(path) for path in files]
    return fingerprint({"prepare_pages": PREPARE_VERSION, "names": list(names), "pages": pages, "drawn": drawn})


def _group(page: MarkedPage) -> list[str]:
    return [page.page.group] if page.page.group else []


def _write(folder: Path, found: PageSet, names: tuple[str, ...], workers: int | None, progress: Progress | None) -> list[Entry]:
    """Write images and labels, and return what was written, in order."""
    make_folders(folder)
    entries: list[Entry] = []
    for split in SPLITS:
        for i, page in enumerate(found.pages[split]):
            file, listed = Path(page.page.file or ""), page.page
            # Numbered: equal names of two sources would overwrite each other.
            name = f"{i:06d}_{file.stem}{file.suffix.lower()}"
            put_page(folder, split, name, _unchanged(page, file), _labels(page, names))
            entries.append(Entry(split, name, listed.source, listed.path, listed.group or f"{listed.source}:{listed.path}"))
    drawings = []
    for split in SPLITS:
        for drawn in found.drawn[split]:
            if drawn.render:
                name = f"{drawn.source}_{drawn.render[0]}_{drawn.render[1]:07d}.jpg"
                drawings.append(Drawing(folder, drawn.render, split, name, names.index(CLASS)))
                entries.append(Entry(split, name, drawn.source, drawn.path, drawn.group or drawn.path))
    _draw(drawings, workers, progress)
    write_yaml(folder, names)
    every = list(chain.from_iterable(found.pages.values()))
    if every:
        write_png(folder / "boxes.png", sheet_of(every, SHOWN))
    return entries


def _draw(drawings: list[Drawing], workers: int | None, progress: Progress | None) -> None:
    jobs = [drawings[start : start + CHUNK] for start in range(0, len(drawings), CHUNK)]
    for done, _ in enumerate(_drawn(jobs, workers), 1):
        if progress:
            progress(min(done * CHUNK, len(drawings)), len(drawings))


def _drawn(jobs: list[list[Drawing]], workers: int | None) -> Iterator[Any]:
    if workers == 1 or len(jobs) < 2:
        yield from map(draw_all, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw_all, jobs)


def _manifest(
    folder: Path, identity: str, sources: list[str], names: tuple[str, ...], found: PageSet, entries: list[Entry]
) -> DatasetManifest:
    splits = {}
    for split in SPLITS:
        pages = [_prepared(folder, i, entry) for i, entry in enumerate(e for e in entries if e.split == split)]
        splits[str(split)] = write_rows(folder, split, pages, names, with_bytes=split != "train")
    return DatasetManifest(
        fingerprint=identity,
        alphabet="",
        fold={},
        pixels=PIXELS,
        sources=sources,
        splits=splits,
        bad_rows=sum(finding.severity == "error" for finding in found.findings),
        versions={name: version(name) for name in ("glyphyard", "numpy", "opencv-python-headless")},
        classes=list(names),
    )


def _prepared(folder: Path, number: int, entry: Entry) -> PreparedPage:
    """Read a written page back as ultralytics will: its size, and the boxes of its label file in pixels."""
    image = folder / "images" / FOLDERS[entry.split] / entry.name
    labels = folder / "labels" / FOLDERS[entry.split] / f"{image.stem}.txt"
    width, height, sha256 = measure_image(image)
    rows = np.array([line.split() for line in labels.read_text(encoding="utf-8").splitlines()], np.float64).reshape(-1, 5)
    boxes = to_corners(rows[:, 1:]) * [width, height, width, height]
    return PreparedPage(
        number, entry.source, entry.path, entry.group, image, sha256, width, height, boxes, rows[:, 0].astype(np.int64)
    )


def _labels(page: MarkedPage, names: tuple[str, ...]) -> str:
    return label_lines(page.boxes, [names.index(label) for label in page.labels], page.width, page.height)


def _unchanged(page: MarkedPage, file: Path) -> bytes:
    data = file.read_bytes()
    if sha256_bytes(data) != page.sha256:
        raise BadInput(str(file), "this image changed while it was prepared", "run again when nobody writes to it")
    return data
