"""One listed row: an image that was not opened yet, and what its source says it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """A row as listed: `line` is 1-based in `listed_in` (the index of a synthetic row); `problem` says why a line is no row.

    Exactly one of `file` (absolute path of the image) and `render` (family, seed, index, difficulty) is set on a good row. `low` is the low-resolution side of a pair.
    A crop narrower than `min_width_px` is left out; `left_out` says why a row in order is (its label says that nobody can read it).
    """

    source: str
    listed_in: str
    line: int
    path: str
    text_raw: str
    file: str | None = None
    render: tuple[str, int, int, float] | None = None
    problem: str = ""
    left_out: str = ""
    low: str | None = None
    min_width_px: int = 0
    meta: Mapping[str, str] = field(default_factory=dict)
