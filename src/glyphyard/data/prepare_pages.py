"""`prepare` for pages: sources with boxes → one audited, split YOLO folder in the store, made once and named by its content.

Images stay encoded as they were: a detector's library reads, resizes and augments them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from glyphyard.core.errors import BadInput
from glyphyard.core.files import fingerprint, make_folder, sha256_bytes, sha256_file, write_json
from glyphyard.data.drawn_pages import CLASS, Drawing, draw_all
from glyphyard.data.findings import told
from glyphyard.data.fingerprint import dataset_folder
from glyphyard.data.page_set import PageSet, gather_pages
from glyphyard.data.region_audit import MarkedPage
from glyphyard.data.region_masks import sheet_of
from glyphyard.data.workplace import workplace
from glyphyard.data.yolo_folder_writer import label_lines, make_folders, put_page, write_yaml
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, Split

PREPARE_VERSION = 1  # raise it when the same input gives another folder
CHUNK = 25
SHOWN = 24


def prepare_pages(
    dataset: DatasetConfig,
    store: Path,
    *,
    need: tuple[Split, ...] = ("train", "validation"),
    workers: int | None = 1,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Return the folder of the prepared pages: dataset.yaml, images/, labels/, audit.json, boxes.png and manifest.json.

    Classes are the labels that occur, in order. Drawn pages are drawn by `workers` processes. Too many bad regions, and a
    split in `need` that comes out empty, are a `BadInput`.
    """
    found = gather_pages(dataset)
    names = _names(found)
    counts = {split: len(found.pages[split]) + len(found.drawn[split]) for split in SPLITS}
    if empty := [split for split in need if not counts[split]]:
        shown = ", ".join(f"{n} {split}" for split, n in counts.items())
        raise BadInput("dataset.split", f"the {empty[0]} split came out empty ({shown})", "add pages, or hold out another share")
    identity = _identity(found, names)
    target = dataset_folder(make_folder(Path(store).absolute()), identity)
    for line in told(found.findings):
        say(line)
    if not (target / "manifest.json").is_file():
        with workplace(target) as folder:
            _write(folder, found, names, workers)
            write_json(folder / "audit.json", found.report())
            files = {
                str(p.relative_to(folder)): sha256_file(p)
                for kind in ("images", "labels")
                for p in sorted((folder / kind).rglob("*.*"))
            }
            content = {"schema_version": 1, "fingerprint": identity, "names": list(names), "pages": counts, "files": files}
            write_json(folder / "manifest.json", content)
    say(f"dataset {identity}: " + " · ".join(f"{n:,} {split}" for split, n in counts.items()) + " pages")
    return target


def _names(found: PageSet) -> tuple[str, ...]:
    labels = {label for pages in found.pages.values() for page in pages for label in page.labels}
    return tuple(sorted(labels | ({CLASS} if any(found.drawn.values()) else set()))) or (CLASS,)


def _identity(found: PageSet, names: Sequence[str]) -> str:
    """Name the content: images by their bytes, boxes to a hundredth of a pixel, drawn pages by seed, index and code."""
    pages = {
        split: sorted(
            [p.sha256, list(p.labels), [[round(float(v), 2) for v in box] for box in p.boxes]] for p in found.pages[split]
        )
        for split in SPLITS
    }
    drawn: dict[str, Any] = {split: [list(p.render or ()) for p in found.drawn[split]] for split in SPLITS}
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


def _write(folder: Path, found: PageSet, names: tuple[str, ...], workers: int | None) -> None:
    make_folders(folder)
    for split in SPLITS:
        for i, page in enumerate(found.pages[split]):
            file = Path(page.page.file or "")
            # Numbered: equal names of two sources would overwrite each other.
            put_page(folder, split, f"{i:06d}_{file.stem}{file.suffix.lower()}", _unchanged(page, file), _labels(page, names))
    drawings = [
        Drawing(folder, page.render, split, f"{page.source}_{page.render[0]}_{page.render[1]:07d}.jpg", names.index(CLASS))
        for split in SPLITS
        for page in found.drawn[split]
        if page.render
    ]
    jobs = [drawings[start : start + CHUNK] for start in range(0, len(drawings), CHUNK)]
    if workers == 1 or len(jobs) < 2:
        list(map(draw_all, jobs))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            list(pool.map(draw_all, jobs))
    write_yaml(folder, names)
    every = list(chain.from_iterable(found.pages.values()))
    if every:
        cv2.imwrite(str(folder / "boxes.png"), sheet_of(every, SHOWN))


def _labels(page: MarkedPage, names: tuple[str, ...]) -> str:
    return label_lines(page.boxes, [names.index(label) for label in page.labels], page.width, page.height)


def _unchanged(page: MarkedPage, file: Path) -> bytes:
    data = file.read_bytes()
    if sha256_bytes(data) != page.sha256:
        raise BadInput(str(file), "this image changed while it was prepared", "run again when nobody writes to it")
    return data
