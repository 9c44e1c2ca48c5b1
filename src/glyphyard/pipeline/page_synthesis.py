"""Synthetic pages to a YOLO folder: drawn by all processors, complete or not there."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.pixels import write_png
from glyphyard.data.drawn_pages import CLASS, COLUMNS, Drawing, draw_all
from glyphyard.data.yolo_folder_writer import make_folders, write_yaml
from glyphyard.recipe.dataset import SPLITS, Split, SplitConfig, SyntheticPages

CHUNK = 25
ON_SHEET = 12


def write_pages(
    pages: SyntheticPages, out: Path, split: SplitConfig, workers: int | None, say: Callable[[str], None]
) -> dict[str, int]:
    """Write the pages of a source to the new folder `out` and return how many stand in each split.

    There: images/, labels/, dataset.yaml, lines.csv (the box and text of each line) and sheet.png. Writers stand in one
    split only. The same seed gives the same pages with any number of workers.
    """
    if out.exists():
        raise BadInput(str(out), "this folder is there already", "choose another --out")
    counts: Counter[str] = Counter()
    with writing(out), atomic_folder(out.absolute()) as folder:
        make_folders(folder)
        with (folder / "lines.csv").open("w", encoding="utf-8", newline="") as opened:
            table = csv.writer(opened)
            table.writerow(COLUMNS)
            for done, (side, rows) in enumerate(_drawn(folder, pages, split, workers), 1):
                counts[side] += 1
                table.writerows(rows)
                if done % 200 == 0:
                    say(f"synth: {done} of {pages.count} pages")
        write_yaml(folder, [CLASS])
        _write_sheet(folder / "sheet.png", pages)
    return {name: counts[name] for name in SPLITS}


def _drawn(
    folder: Path, pages: SyntheticPages, split: SplitConfig, workers: int | None
) -> Iterator[tuple[Split, list[list[str]]]]:
    from glyphyard.data.sources.synthetic_pages import list_synthetic_pages
    from glyphyard.data.split import assign

    sides = [assign(page.group or page.path, split, pages.splits) for page in list_synthetic_pages(pages)]
    drawings = [Drawing(folder, (pages.seed, i, pages.difficulty), side, f"{i:07d}.jpg") for i, side in enumerate(sides)]
    jobs = [drawings[start : start + CHUNK] for start in range(0, len(drawings), CHUNK)]
    if workers == 1 or len(jobs) == 1:
        made = chain.from_iterable(map(draw_all, jobs))
        yield from zip(sides, made, strict=True)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(sides, chain.from_iterable(pool.map(draw_all, jobs)), strict=True)


def _write_sheet(path: Path, pages: SyntheticPages) -> None:
    from glyphyard.data.region_sheet import draw_regions, page_sheet
    from glyphyard.data.synth.pages import render_page

    shown = [render_page(pages.seed, i, pages.difficulty) for i in range(min(pages.count, ON_SHEET))]
    pictures = [draw_regions(p.image_bgr, p.boxes, [CLASS] * len(p.boxes)) for p in shown]
    captions = [f"{i}: {p.meta['kind']}, {p.meta['pen']}, {p.meta['lines']} lines" for i, p in enumerate(shown)]
    write_png(path, page_sheet(pictures, captions))
