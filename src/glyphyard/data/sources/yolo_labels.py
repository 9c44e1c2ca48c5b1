"""YOLO label files: one `class cx cy w h` a line, in shares of the image; or `class x1 y1 x2 y2 …`, a polygon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from glyphyard.data.findings import Kind
from glyphyard.data.sources.page import Problem, Region

SLACK = 0.002  # share of the image; what editors round beyond the border is no mistake


def read_yolo_labels(path: Path, names: Sequence[str]) -> tuple[list[Region], list[Problem]]:
    """Read the boxes of one image as corners in shares of it, and what is wrong with which line; polygons become their boxes."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [Problem(Kind.MALFORMED_LINE, 0, f"cannot read this file ({error.strerror})")]
    except UnicodeDecodeError as error:
        return [], [Problem(Kind.MALFORMED_LINE, 0, f"expected UTF-8, found byte {error.object[error.start]:#x}")]
    regions: list[Region] = []
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        read = _read_line(line, number, names)
        (regions if isinstance(read, Region) else problems).append(read)  # type: ignore[arg-type]
    return regions, problems


def _read_line(line: str, number: int, names: Sequence[str]) -> Region | Problem:
    shown = repr(line.strip()[:60])
    try:
        label, *values = (float(word) for word in line.split())
    except ValueError:
        return Problem(Kind.MALFORMED_LINE, number, f"expected `class cx cy w h` in numbers, found {shown}")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        return Problem(Kind.MALFORMED_LINE, number, f"expected a class and 4 numbers or 3 points or more, found {shown}")
    if not all(map(math.isfinite, (label, *values))):
        return Problem(Kind.MALFORMED_LINE, number, f"expected finite numbers, found {shown}")
    if label != int(label) or not 0 <= label < len(names):
        return Problem(Kind.UNKNOWN_CLASS, number, f"class {label:g} is none of the {len(names)} classes {list(names)[:8]}")
    if max(values) > 1.5 and max(values) > len(names):
        return Problem(Kind.MALFORMED_LINE, number, f"expected shares of the image from 0 to 1, found {shown}: are these pixels?")
    if len(values) == 4:
        x, y, w, h = values
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    else:
        box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    return Region(names[int(label)], box, number)
