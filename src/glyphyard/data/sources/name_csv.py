"""`name_csv`: lines of text listed in a CSV with the columns FILENAME and IDENTITY, as the handwritten-names sets have it."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.data.sources.plate_tsv import read_lines
from glyphyard.data.sources.row import Row
from glyphyard.recipe.dataset import NameCsv

FILENAME, IDENTITY = "FILENAME", "IDENTITY"
REMEDY = f"begin the file with a line `{FILENAME},{IDENTITY}`, as UTF-8"


def list_name_csv(source: NameCsv) -> list[Row]:
    """List the rows of a CSV: unreadable ones keep their reason, a malformed line its problem; blank lines are no rows.

    With `subset` the readable rows are thinned to that many by the hash of seed and file name: the same on every machine,
    and a larger subset holds the smaller one. A file without the two columns is a `BadInput` naming its first line.
    """
    lines = read_lines(source.labels)
    reader = csv.reader(lines)
    header = [cell.strip() for cell in next(reader, [])]
    if missing := [name for name in (FILENAME, IDENTITY) if name not in header]:
        found = f"expected the columns {FILENAME} and {IDENTITY}, found {header[:6] or 'nothing'} (missing: {', '.join(missing)})"
        raise BadInput(f"{source.labels}:1", found, REMEDY)
    rows = list(_rows(source, reader, header))
    if not rows:
        raise BadInput(str(source.labels), "lists no image", REMEDY)
    return _thinned(rows, source)


def _rows(source: NameCsv, reader: Iterator[list[str]], header: list[str]) -> Iterator[Row]:
    base = os.path.abspath(source.images or Path(source.labels).parent)
    writer = re.compile(source.group_by) if source.group_by not in (None, "text", "path") else None
    listed_in = str(source.labels)
    for cells in reader:
        line: int = reader.line_num  # type: ignore[attr-defined]  # of csv.reader, which has no public type
        if not cells:
            continue
        if len(cells) != len(header) or not cells[header.index(FILENAME)].strip():
            problem = f"expected {len(header)} columns ({', '.join(header)}), found {cells[:6]}"
            yield Row(source.name, listed_in, line, cells[0].strip(), "", problem=problem)
            continue
        meta = dict(zip(header, cells, strict=True))
        path, text = meta.pop(FILENAME).strip(), meta.pop(IDENTITY).strip()
        if not text or text in source.unreadable:
            yield Row(source.name, listed_in, line, path, "", left_out=f"is labelled {text!r}" if text else "has no label")
            continue
        if writer and (match := writer.search(path)):
            meta["writer"] = match.group(1)
        least = source.min_width_px or 0
        yield Row(source.name, listed_in, line, path, text, file=os.path.join(base, path), min_width_px=least, meta=meta)


def _thinned(rows: list[Row], source: NameCsv) -> list[Row]:
    usable = [row for row in rows if row.file]
    if source.subset is None or source.subset >= len(usable):
        return rows
    ranked = sorted(usable, key=lambda row: hashlib.sha256(f"{source.subset_seed}/{row.path}".encode()).digest())
    kept = {id(row) for row in ranked[: source.subset]}
    return [row for row in rows if not row.file or id(row) in kept]
