"""What an audit finds: typed, with file and line, error (the row is left out) or warning (it is only told)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

SHOWN = 20  # findings on the screen; audit.json holds all of them


class Kind(str, Enum):
    """Stable codes of what can be wrong with a row."""

    MALFORMED_LINE = "malformed_line"
    EMPTY_LABEL = "empty_label"
    UNKNOWN_CHARACTER = "unknown_character"
    LABEL_TOO_LONG = "label_too_long"
    BROKEN_LAYOUT = "broken_layout"
    NO_GROUP = "no_group"
    MISSING_IMAGE = "missing_image"
    UNREADABLE_IMAGE = "unreadable_image"
    TOO_MANY_PIXELS = "too_many_pixels"
    PAIR_NOT_MULTIPLE = "pair_not_multiple"
    TOO_NARROW = "too_narrow"
    SMALL_HIGH_SIDE = "small_high_side"
    CONFLICTING_LABELS = "conflicting_labels"
    DUPLICATE_IMAGE = "duplicate_image"
    NEAR_DUPLICATE = "near_duplicate_across_splits"
    HELD_OUT_ELSEWHERE = "held_out_elsewhere"
    MARKED_UNREADABLE = "marked_unreadable"
    NO_ANNOTATIONS = "image_without_annotations"
    NO_IMAGE = "annotations_without_image"
    UNKNOWN_CLASS = "unknown_class"
    EMPTY_REGION = "empty_region"
    OUTSIDE_IMAGE = "region_outside_image"
    CUT_BY_BORDER = "region_cut_by_border"
    DUPLICATE_REGION = "duplicate_region"
    MALFORMED_POLYGON = "malformed_polygon"
    SHORT_POLYGON = "short_polygon"
    SELF_CROSSING = "self_crossing_polygon"


REGION_WARNINGS = {Kind.NO_ANNOTATIONS, Kind.NO_IMAGE, Kind.CUT_BY_BORDER, Kind.DUPLICATE_REGION, Kind.SELF_CROSSING}
WARNINGS = frozenset(
    {
        Kind.DUPLICATE_IMAGE,
        Kind.NEAR_DUPLICATE,
        Kind.HELD_OUT_ELSEWHERE,
        Kind.TOO_NARROW,
        Kind.SMALL_HIGH_SIDE,
        Kind.MARKED_UNREADABLE,
        *REGION_WARNINGS,
    }
)


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing about one row; `row` is its id, `line` its line in `file`, the label file."""

    kind: Kind
    row: int
    source: str
    file: str
    line: int
    detail: str

    @property
    def severity(self) -> str:
        """`error` (the row is bad) or `warning`."""
        return "warning" if self.kind in WARNINGS else "error"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it stands in audit.json."""
        place = {"source": self.source, "file": self.file, "line": self.line, "row": self.row}
        return {"kind": self.kind.value, "severity": self.severity, **place, "detail": self.detail}

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind.value}: {self.detail}"


def bad_rows(findings: Iterable[AuditFinding]) -> set[int]:
    """Return the ids of rows with an error."""
    return {f.row for f in findings if f.severity == "error"}


def unused_rows(findings: Iterable[AuditFinding]) -> set[int]:
    """Return the ids of rows that the labels alone rule out: bad ones, and those that say that nobody can read them."""
    return {f.row for f in findings if f.severity == "error" or f.kind is Kind.MARKED_UNREADABLE}


def by_kind(findings: Iterable[AuditFinding]) -> dict[str, int]:
    """Count findings by code."""
    return dict(sorted(Counter(f.kind.value for f in findings).items()))


def told(findings: list[AuditFinding]) -> list[str]:
    """Return lines for the screen: the counts, the first findings (errors first), and how many more there are."""
    if not findings:
        return []
    counts = ", ".join(f"{count} {kind}" for kind, count in by_kind(findings).items())
    ordered = sorted(findings, key=lambda f: (f.severity, f.row))
    more = [f"  … and {len(findings) - SHOWN} more in audit.json"] if len(findings) > SHOWN else []
    return [f"audit: {counts}", *(f"  {f.severity} {f}" for f in ordered[:SHOWN]), *more]
