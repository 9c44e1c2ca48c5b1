"""What a plate style is: a few facts per issuer, from which scenes are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

Colour = tuple[int, int, int]
"""Blue, green, red, 0..255."""


@cache
def colour(code: str) -> Colour:
    """Return the colour of `#rrggbb` written without its hash."""
    return int(code[4:6], 16), int(code[2:4], 16), int(code[0:2], 16)


def sheet_of(height: int, width: int, ink: Colour) -> np.ndarray:
    """Return (height, width, 3) uint8 of one colour (several times faster than numpy's broadcast)."""
    sheet = np.empty((height, width, 3), np.uint8)
    cv2.rectangle(sheet, (0, 0), (width, height), ink, -1)
    return sheet


@dataclass(frozen=True)
class Style:
    """One plate design; `?` in a tuple of options means "nothing here", empty tuples mean "never"."""

    name: str
    patterns: tuple[tuple[str, float], ...]
    """Layouts by weight: L letter, D digit, # a digit 1..9, others stand for themselves (no literal L or D);
    marks that follow a character: space, `-` dash, `.` dot, `*` emblem."""
    inks: tuple[str, ...] = ("1c2350",)
    papers: tuple[str, ...] = ("f2f2ee f2f2ee f2f2ee",)
    """Colours top, middle, bottom."""
    header: tuple[str, ...] = ("?",)
    footer: tuple[str, ...] = ("?",)
    header_ink: tuple[str, ...] = ("1c2f7a",)
    footer_ink: tuple[str, ...] = ("1c2f7a",)
    header_band: tuple[str, ...] = ("?",)
    footer_band: tuple[str, ...] = ("?",)
    script: bool = False
    """The header is set in a script face."""
    dies: tuple[str, ...] = ("tall",)
    art: tuple[str, ...] = ("?",)
    """Pictures behind or beside the text; see `art.ARTS`."""
    emblem: tuple[str, ...] = ("blob",)
    """What a `*` is drawn as; see `art.EMBLEMS`."""
    stickers: str = ""
    """Corners that hold stickers: any of 1 top left, 2 top right, 3 bottom left, 4 bottom right."""
    logo: float = 0.06
    """Chance of a picture to the left of the text."""
    stack: float = 0.04
    """Chance of small stacked letters beside the text; labels leave these out."""
    vanity: float = 0.15
    """Share of plates with words that people pay for."""
    letters: str = "ABCDEFGHIJKLMNPQRSTUVWXYZ"
    vanity_o: bool = True
    """Words that people pay for may hold the letter O."""
    coined: float = 0.0
    """Share of those words that stand in no dictionary, of up to eight characters."""
    band: tuple[float, float] = (0.28, 0.785)
    """Top and bottom of the main text, as shares of the plate's height."""
    wander: float = 0.015
    """How far the band may lie higher or lower, as a share of the height."""


@dataclass(frozen=True)
class Plan:
    """What one plate will say and how: a style, its text, and the mark after each character ('' for none)."""

    style: Style
    text: str
    marks: tuple[str, ...]
    layout: str
