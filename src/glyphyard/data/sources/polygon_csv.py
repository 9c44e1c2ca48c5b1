"""`polygon_csv`: `images/` and `annotations/*.csv` of the same names, with the columns `char,polygon_json`.

A polygon is a JSON list of numbers x1, y1, x2, y2, … in pixels; a list of [x, y] pairs is read too.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.data.findings import Kind
from glyphyard.data.sources.page import Page, Problem, Region
from glyphyard.data.sources.yolo_folder import SUFFIXES
from glyphyard.recipe.dataset import PolygonCsv

COLUMNS = ["char", "polygon_json"]
MAX_POINTS = 2000  # of one outline; the search for crossing sides looks at all pairs


def list_polygon_csv(source: PolygonCsv) -> list[Page]:
    """List the pages in the order of their names; a folder without `images` or without any annotation is a `BadInput`."""
    root = Path(source.folder).absolute()
    images, annotations = root / "images", root / "annotations"
    for folder in (images, annotations):
        if not folder.is_dir():
            raise BadInput(str(folder), "no such folder", "expected images/ and annotations/*.csv with char,polygon_json")
    found = sorted(p for p in images.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise BadInput(str(images), "no image lies here", f"expected {', '.join(SUFFIXES)}")
    tables = {p.stem: p for p in sorted(annotations.glob("*.csv"))}
    if not any(p.stem in tables for p in found):
        raise BadInput(str(annotations), "no image has its annotations here", f"expected e.g. {found[0].stem}.csv")
    pages = [_page(source.name, image, tables.get(image.stem)) for image in found]
    return pages + [_orphan(source.name, tables[stem]) for stem in sorted(set(tables) - {p.stem for p in found})]


def _page(source: str, image: Path, table: Path | None) -> Page:
    path = f"images/{image.name}"
    if table is None:
        return Page(source, path, str(image), None)
    regions, problems = read_polygons(table)
    return Page(source, path, str(image), str(table), tuple(regions), tuple(problems))


def _orphan(source: str, table: Path) -> Page:
    problem = Problem(Kind.NO_IMAGE, 0, "no image goes with these annotations")
    return Page(source, f"annotations/{table.name}", None, str(table), (), (problem,))


def read_polygons(path: Path) -> tuple[list[Region], list[Problem]]:
    """Read the characters of one image, in pixels, and what is wrong with which line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return [], [Problem(Kind.MALFORMED_LINE, 0, f"cannot read this file ({error.strerror})")]
    except UnicodeDecodeError as error:
        return [], [Problem(Kind.MALFORMED_LINE, 0, f"expected UTF-8, found byte {error.object[error.start]:#x}")]
    reader = csv.reader(io.StringIO(text), strict=True)
    regions: list[Region] = []
    problems: list[Problem] = []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if header != COLUMNS:
            return [], [
                Problem(Kind.MALFORMED_LINE, 1, f"expected the header {','.join(COLUMNS)}, found {','.join(header)[:60]!r}")
            ]
        for cells in reader:
            if any(cell.strip() for cell in cells):
                read = _read_row(cells, reader.line_num)
                (regions if isinstance(read, Region) else problems).append(read)  # type: ignore[arg-type]
    except csv.Error as error:
        problems.append(Problem(Kind.MALFORMED_LINE, reader.line_num, f"not CSV: {error}"))
    return regions, problems


def _read_row(cells: list[str], line: int) -> Region | Problem:
    if len(cells) != 2:
        return Problem(Kind.MALFORMED_LINE, line, f"expected 2 columns, found {len(cells)}")
    label, text = cells[0].strip(), cells[1]
    if not label:
        return Problem(Kind.EMPTY_LABEL, line, "the character is empty")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Problem(Kind.MALFORMED_POLYGON, line, f"polygon of {label!r} is not JSON: {text[:40]!r}")
    if isinstance(value, list) and value and all(isinstance(p, list) and len(p) == 2 for p in value):
        value = [number for point in value for number in point]
    numbers = isinstance(value, list) and all(type(v) in (int, float) and math.isfinite(v) for v in value)
    if not numbers or len(value) % 2 or len(value) > 2 * MAX_POINTS:
        return Problem(Kind.MALFORMED_POLYGON, line, f"polygon of {label!r} is no list of x, y pairs: {text[:40]!r}")
    if len({(value[k], value[k + 1]) for k in range(0, len(value), 2)}) < 3:
        return Problem(
            Kind.SHORT_POLYGON, line, f"polygon of {label!r} has {len(value) // 2} points, of which fewer than 3 differ"
        )
    return Region(label, tuple(float(v) for v in value), line)
