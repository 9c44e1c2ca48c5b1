"""The families of plates: each is a set of weighted styles and a camera."""

from __future__ import annotations

from dataclasses import dataclass

from glyphyard.data.synth import brazil, florida, us
from glyphyard.data.synth.camera import Camera
from glyphyard.data.synth.style import Style


@dataclass(frozen=True)
class Family:
    """What can be drawn, by weight, and how it is seen."""

    styles: tuple[tuple[Style, float], ...]
    camera: Camera


CATALOGUE: dict[str, Family] = {
    "florida": Family(florida.STYLES, florida.CAMERA),
    "us": Family(us.STYLES, us.CAMERA),
    "brazil": Family(brazil.STYLES, brazil.CAMERA),
}
