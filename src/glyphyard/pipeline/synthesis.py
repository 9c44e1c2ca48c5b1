"""Synthetic plates to a folder: rendered by all processors, complete or not there."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.pixels import write_png
from glyphyard.recipe.dataset import SyntheticPlates

CHUNK = 250
ON_SHEET = 64
Written = tuple[str, str, dict[str, str]]  # path, text, what is known of it


def write_plates(plates: SyntheticPlates, out: Path, workers: int | None, say: Callable[[str], None]) -> None:
    """Write images/*.png, labels.txt, meta.csv and sheet.png to the new folder `out`."""
    from glyphyard.data.synth import contact_sheet, render_plate

    if out.exists():
        raise BadInput(str(out), "this folder is there already", "choose another --out")
    with writing(out), atomic_folder(out.absolute()) as folder:
        (folder / "images").mkdir()
        rows: list[Written] = []
        for i, made in enumerate(_rendered(folder, plates, workers)):
            rows += made
            if i % 20 == 19:
                say(f"synth: {len(rows)} of {plates.count} plates")
        (folder / "labels.txt").write_text("".join(f"{path}\t{text}\n" for path, text, _ in rows), encoding="utf-8")
        _write_meta(folder / "meta.csv", rows)
        shown = range(min(plates.count, ON_SHEET))
        sheet = contact_sheet([render_plate(plates.seed, i, plates.family, difficulty=plates.difficulty) for i in shown])
        write_png(folder / "sheet.png", sheet)


def _rendered(folder: Path, plates: SyntheticPlates, workers: int | None) -> Iterator[list[Written]]:
    jobs = [(folder, plates, start, min(start + CHUNK, plates.count)) for start in range(0, plates.count, CHUNK)]
    if workers == 1 or len(jobs) == 1:
        yield from map(_render_chunk, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render_chunk, jobs)


def _render_chunk(job: tuple[Path, SyntheticPlates, int, int]) -> list[Written]:
    import cv2

    from glyphyard.data.synth import render_plate

    cv2.setNumThreads(1)
    folder, plates, start, stop = job
    rows = []
    for index in range(start, stop):
        plate = render_plate(plates.seed, index, plates.family, difficulty=plates.difficulty)
        path = f"images/{index:07d}.png"
        write_png(folder / path, plate.image_bgr)
        rows.append((path, plate.text, plate.meta))
    return rows


def _write_meta(path: Path, rows: list[Written]) -> None:
    columns = sorted(set(chain.from_iterable(meta for _, _, meta in rows)))
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["path", *columns])
        writer.writerows([[image, *(meta.get(column, "") for column in columns)] for image, _, meta in rows])
