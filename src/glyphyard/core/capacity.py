"""Which texts a network has room for."""

from __future__ import annotations

from dataclasses import dataclass

from glyphyard.core.alphabet import steps_needed
from glyphyard.core.layout import LAYOUTS


@dataclass(frozen=True)
class Capacity:
    """`places`: CTC time steps, or with `blanks` False as many characters (or boxes). `layout`: one of `core.layout.LAYOUTS`."""

    places: int
    blanks: bool = True
    layout: str = "none"

    @property
    def unit(self) -> str:
        """What the places are called."""
        return "time steps" if self.blanks else "characters"

    def needed(self, text: str) -> int:
        """Return how many places a text (canonical) takes: CTC wants a blank between equal neighbours."""
        return steps_needed(text) if self.blanks else len(text)

    def too_long(self, text: str) -> str | None:
        """Say why a text has too few places here, with both figures; None where it has enough."""
        needed = self.needed(text)
        return None if needed <= self.places else f"label {text!r} needs {needed} {self.unit}, the model has {self.places}"

    def broken_layout(self, text: str) -> str | None:
        """Say why a text cannot stand on such a plate, with GY054 and the patterns; None where it can."""
        return LAYOUTS[self.layout].problem_of(text)
