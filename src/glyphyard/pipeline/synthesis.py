"""Synthetic plates to a folder: rendered by all processors, complete or not there."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_folder

CHUNK = 250
ON_SHEET = 64


def write_plates(out: Path, count: int, family: str, seed: int, workers: int | None, say: Callable[[str], None]) -> int:
    """Write images/*.png, labels.txt, meta.csv and sheet.png to the new folder `out`; return how many plates."""
    import cv2

    from glyphyard.data.synth import FAMILIES, contact_sheet, render_plate

    if family not in FAMILIES:
        raise BadInput(f"--family {family}", "no such family of plates", f"there are {', '.join(FAMILIES)}")
    if out.exists():
        raise BadInput(str(out), "this folder is there already", "choose another --out")
    with atomic_folder(out.absolute()) as folder:
        (folder / "images").mkdir()
        rows: list[tuple[str, str, dict[str, str]]] = []
        for i, made in enumerate(_rendered(folder, count, family, seed, workers)):
            rows += made
            if i % 20 == 19:
                say(f"synth: {len(rows)} of {count} plates")
        (folder / "labels.txt").write_text("".join(f"{path}\t{text}\n" for path, text, _ in rows), encoding="utf-8")
        _write_meta(folder / "meta.csv", rows)
        shown = [render_plate(seed, index, family) for index in range(min(count, ON_SHEET))]
        cv2.imwrite(str(folder / "sheet.png"), contact_sheet(shown))
    return len(rows)


def _rendered(folder: Path, count: int, family: str, seed: int, workers: int | None) -> Iterator[list[tuple[str, str, dict[str, str]]]]:
    jobs = [(str(folder), family, seed, start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    if workers == 1 or len(jobs) == 1:
        yield from map(_render_chunk, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render_chunk, jobs)


def _render_chunk(job: tuple[str, str, int, int, int]) -> list[tuple[str, str, dict[str, str]]]:
    import cv2

    from glyphyard.data.synth import render_plate

    cv2.setNumThreads(1)
    folder, family, seed, start, stop = job
    rows = []
    for index in range(start, stop):
        plate = render_plate(seed, index, family)
        path = f"images/{index:07d}.png"
        if not cv2.imwrite(f"{folder}/{path}", plate.image_bgr):
            raise BadInput(f"{folder}/{path}", "cannot write this image", "is the disk full?")
        rows.append((path, plate.text, plate.meta))
    return rows


def _write_meta(path: Path, rows: list[tuple[str, str, dict[str, str]]]) -> None:
    columns = sorted(set(chain.from_iterable(meta for _, _, meta in rows)))
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["path", *columns])
        writer.writerows([[image, *(meta.get(column, "") for column in columns)] for image, _, meta in rows])
