"""`plate_pairs`: crops in two resolutions under one name, in an `hr` and in an `lr` folder; texts in a label file.

The sides may be of different types: `hr/plate1.png` goes with `lr/plate1.jpg` (a fixed suffix once lost half of a data set).
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.data.sources.plate_tsv import label_lines, split_line
from glyphyard.data.sources.row import Row
from glyphyard.recipe.dataset import PlatePairs

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def list_plate_pairs(source: PlatePairs) -> list[Row]:
    """List the pairs of a label file; what is wrong with a line stays with its row, a broken file or no folder is a `BadInput`."""
    lines, beside = label_lines(source.labels), Path(source.labels).parent
    high, low = (os.path.abspath(given or beside / name) for given, name in ((source.hr_images, "hr"), (source.lr_images, "lr")))
    for side, folder in (("hr_images", high), ("lr_images", low)):
        if not os.path.isdir(folder):
            raise BadInput(
                str(source.labels), f"expected one side of the pairs in {folder}, found no such folder", f"state {side}"
            )
    _listing.cache_clear()
    return [_row(source, high, low, number, line) for number, line in lines]


def _row(source: PlatePairs, high: str, low: str, number: int, line: str) -> Row:
    path, text, problem = split_line(line)
    least = source.min_width_px or 0
    if problem:
        return Row(source.name, str(source.labels), number, path, "", problem=problem)
    return Row(
        source.name, str(source.labels), number, path, text, file=_found(high, path), low=_found(low, path), min_width_px=least
    )


def _found(folder: str, path: str) -> str:
    """Return the file of a name in a folder, of the stated type or another; the stated one where there is none."""
    parent, name = os.path.split(os.path.join(folder, path))
    there = _listing(parent)
    stem = os.path.splitext(name)[0]
    chosen = next((n for n in (name, *(stem + s for s in SUFFIXES), *(stem + s.upper() for s in SUFFIXES)) if n in there), name)
    return os.path.join(parent, chosen)


@lru_cache(maxsize=256)
def _listing(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except (OSError, ValueError):  # a ValueError is a NUL byte in the path
        return frozenset()
