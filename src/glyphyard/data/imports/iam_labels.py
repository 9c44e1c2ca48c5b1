"""The annotations of the IAM Handwriting Database (Marti & Bunke, 2002): lines of each form, from its XML or from ascii/lines.txt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.etree import ElementTree

from glyphyard.core.errors import BadInput

LARGEST_XML = 8 << 20
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class FormLine:
    """One written line: its number in the file that tells of it, its box x1, y1, x2, y2 in pixels of the form, its text."""

    line: int
    box: Box
    text: str


@dataclass
class Form:
    """One form: who wrote it ("" is unknown), its lines, and where they were told."""

    writer: str = ""
    lines: list[FormLine] = field(default_factory=list)
    told_in: str = ""


@dataclass
class IamLabels:
    """All forms by their id (`a01-000u`), and the lines of the ascii files that could not be read: (file, line, what)."""

    forms: dict[str, Form] = field(default_factory=dict)
    problems: list[tuple[str, int, str]] = field(default_factory=list)

    def form(self, number: str) -> Form:
        """Return a form, a new one if it was not heard of yet."""
        return self.forms.setdefault(number, Form())

    def read(self, name: str, data: bytes) -> None:
        """Take what a file says: lines.txt, forms.txt or a form's XML, which wins over lines.txt; others say nothing."""
        base = PurePosixPath(name).name.lower()
        if base == "lines.txt":
            self._read_lines(name, data)
        elif base == "forms.txt":
            self._read_forms(name, data)
        elif base.endswith(".xml"):
            self._read_xml(name, data)

    def _rows(self, name: str, data: bytes) -> list[tuple[int, list[str]]]:
        text = data.decode("utf-8", errors="replace")
        return [(n, row.split()) for n, row in enumerate(text.splitlines(), 1) if row.strip() and not row.startswith("#")]

    def _read_forms(self, name: str, data: bytes) -> None:
        for number, cells in self._rows(name, data):
            if len(cells) < 2:
                self.problems.append((name, number, f"expected a form and its writer, found {' '.join(cells)[:60]!r}"))
            else:
                self.form(cells[0]).writer = cells[1]

    def _read_lines(self, name: str, data: bytes) -> None:
        for number, cells in self._rows(name, data):
            try:
                form, _, line = cells[0].rpartition("-")
                x, y, width, height = (float(cell) for cell in cells[4:8])
                if not form or not line:
                    raise ValueError
            except (ValueError, IndexError):
                found = " ".join(cells)[:60]
                self.problems.append((name, number, f"expected `form-line ok grey parts x y w h text`, found {found!r}"))
                continue
            known = self.form(form)
            if not known.told_in.endswith(".xml"):
                text = " ".join(cells[8:]).replace("|", " ")
                known.lines.append(FormLine(number, (x, y, x + width, y + height), text))
                known.told_in = name

    def _read_xml(self, name: str, data: bytes) -> None:
        """Take a form's XML; entities, which could grow without end, are refused and nothing is fetched."""
        if len(data) > LARGEST_XML or b"<!ENTITY" in data.upper():
            raise BadInput(name, "[GY094] an XML file that declares entities or is far too large", "do not trust this archive")
        try:
            root = ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            self.problems.append((name, getattr(error, "position", (0,))[0], f"not XML: {error}"))
            return
        number = root.get("id") or PurePosixPath(name).stem
        lines = []
        for k, line in enumerate(root.iter("line"), 1):
            try:
                box = _hull(line)
            except (TypeError, ValueError):
                self.problems.append((name, 0, f"line {k} has a component without x, y, width and height in numbers"))
                continue
            if box:
                lines.append(FormLine(k, box, line.get("text") or ""))
        form = self.form(number)
        form.writer = root.get("writer-id") or form.writer
        if lines:
            form.lines, form.told_in = lines, name


def _hull(line: ElementTree.Element) -> Box | None:
    """Return the box around all components of a line."""
    boxes = []
    for part in line.iter("cmp"):
        x, y, width, height = (float(part.get(key)) for key in ("x", "y", "width", "height"))  # type: ignore[arg-type]
        boxes.append((x, y, x + width, y + height))
    if not boxes:
        return None
    low_x, low_y, high_x, high_y = zip(*boxes, strict=True)
    return min(low_x), min(low_y), max(high_x), max(high_y)
