"""One listed page: an image that was not opened yet, and where its source says that things stand on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from glyphyard.data.findings import Kind
from glyphyard.recipe.dataset import Split


@dataclass(frozen=True, slots=True)
class Region:
    """One thing on a page: its label, its outline x1, y1, x2, y2, … and its line in the page's annotations.

    Two points are the corners of a box, more are a polygon; in pixels, or in shares of the page (`Page.relative`).
    """

    label: str
    outline: tuple[float, ...]
    line: int

    @property
    def is_box(self) -> bool:
        """Whether the outline is two corners of a box."""
        return len(self.outline) == 4


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line of a page's annotations, or with the page (line 0)."""

    kind: Kind
    line: int
    detail: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page as listed; `path` is relative to its source, `file` absolute; exactly one of `file` and `render` is set.

    `annotations` is None where there are none, which is not the same as empty ones. `split` is the side that its own data
    set gives it, `group` what must not stand on two sides (a writer); `render` (seed, index, difficulty) of a drawn page.
    """

    source: str
    path: str
    file: str | None
    annotations: str | None
    regions: tuple[Region, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    relative: bool = False
    split: Split | None = None
    group: str | None = None
    render: tuple[int, int, float] | None = None
