"""The families of plates: each is a set of weighted styles and a camera."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from glyphyard.data.synth import brazil, florida, us
from glyphyard.data.synth.camera import Camera
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import Style


@dataclass(frozen=True)
class Family:
    """What can be drawn, by weight, and how it is seen."""

    styles: tuple[tuple[Style, float], ...]
    camera: Camera

    @cached_property
    def _upto(self) -> list[float]:
        return list(accumulate(weight for _, weight in self.styles))

    def draw(self, dice: Dice) -> Style:
        """Return one style, drawn by weight."""
        return self.styles[bisect(self._upto, dice.random() * self._upto[-1])][0]


CATALOGUE: dict[str, Family] = {
    "florida": Family(florida.STYLES, florida.CAMERA),
    "us": Family(us.STYLES, us.CAMERA),
    "brazil": Family(brazil.STYLES, brazil.CAMERA),
}
