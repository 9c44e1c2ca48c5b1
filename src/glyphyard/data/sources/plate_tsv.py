"""`plate_tsv`: crops listed as `path<TAB>text`, UTF-8, one a line; a CSV beside it may hold columns to slice by."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.data.sources.row import Row
from glyphyard.recipe.dataset import PlateTsv

REMEDY = "write one `path<TAB>text` a line, as UTF-8"


def list_plate_tsv(source: PlateTsv) -> list[Row]:
    """List the rows of a label file; a malformed line stays a row with its `problem`, blank lines are no rows.

    A file that is missing, empty, not UTF-8 or without any tab is a `BadInput` that names file and line.
    """
    lines = label_lines(source.labels)
    meta = _read_metadata(source.metadata) if source.metadata else {}
    base = os.path.abspath(source.images or Path(source.labels).parent)
    return [_row(source, base, meta, number, line) for number, line in lines]


def label_lines(labels: Path) -> list[tuple[int, str]]:
    """Return the numbered lines of a label file; one that is missing, empty, not UTF-8 or without any tab is a `BadInput`."""
    lines = [(n, line) for n, line in enumerate(read_lines(labels), 1) if line.strip()]
    if not lines:
        raise BadInput(str(labels), "the label file is empty", REMEDY)
    if not any("\t" in line for _, line in lines):
        number, line = lines[0]
        raise BadInput(
            f"{labels}:{number}", f"expected a tab between path and text, found {_short(line)} (no line has a tab)", REMEDY
        )
    return lines


def split_line(line: str) -> tuple[str, str, str]:
    """Return path, text and what is wrong with the line ("" if nothing is)."""
    path, *rest = line.split("\t")
    if len(rest) != 1 or not path.strip():
        return path.strip(), "", f"expected path<TAB>text, found {_short(line)}"
    return path.strip(), rest[0], ""


def _row(source: PlateTsv, base: str, meta: dict[str, dict[str, str]], number: int, line: str) -> Row:
    path, text, problem = split_line(line)
    listed_in, least = str(source.labels), source.min_width_px or 0
    if problem:
        return Row(source.name, listed_in, number, path, "", problem=problem)
    file = os.path.join(base, path)
    return Row(source.name, listed_in, number, path, text, file=file, min_width_px=least, meta=meta.get(path, {}))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file without their ends; one that cannot be read is a `BadInput` with line and byte."""
    text = _read_utf8(path)
    # Not splitlines(): a label may hold characters such as U+2028 that only Python takes for line ends.
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _read_utf8(path: Path) -> str:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise BadInput(str(path), "no such file", "check its path in the recipe or after --labels") from error
    except OSError as error:
        raise BadInput(
            str(path), f"cannot read this file ({error.strerror})", "check its path in the recipe or after --labels"
        ) from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        found = f"expected UTF-8, found byte 0x{data[error.start]:02x} as byte {column} of line {line}"
        raise BadInput(f"{path}:{line}", found, "save the file as UTF-8") from error


def _read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Read {path: {column: value}} from a CSV whose first column is the path."""
    reader = csv.reader(read_lines(path))
    header = next(reader, [])
    if len(header) < 2:
        raise BadInput(
            f"{path}:1",
            f"expected a header of path and at least one column, found {header}",
            "name the columns in the first line",
        )
    found: dict[str, dict[str, str]] = {}
    for cells in reader:
        if not cells:
            continue
        if len(cells) != len(header):
            problem = f"expected {len(header)} columns ({', '.join(header)}), found {len(cells)}"
            raise BadInput(f"{path}:{reader.line_num}", problem, "mend this line")
        found[cells[0].strip()] = dict(zip(header[1:], cells[1:], strict=True))
    return found


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")
