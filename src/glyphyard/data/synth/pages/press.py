"""Print on the page: lines and paragraphs in installed typefaces, boxes and tables. None of it is to be found."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.pages.ink import blend
from glyphyard.data.synth.pages.words import sentence

# (package, file): here and not among the faces of plates, whose code names the data sets that are drawn with it.
BODY = (
    ("font_roboto", "files/Roboto-Regular.ttf"),
    ("font_roboto", "files/Roboto-LightItalic.ttf"),
    ("font_source_sans_pro", "files/SourceSansPro-Regular.ttf"),
    ("font_hanken_grotesk", "files/HankenGrotesk-Regular.otf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSerif.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSansMono.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/STIXGeneral.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/STIXGeneralItalic.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/cmr10.ttf"),
)
HEADS = (
    ("font_roboto", "files/Roboto-Bold.ttf"),
    ("font_source_sans_pro", "files/SourceSansPro-Bold.ttf"),
    ("font_hanken_grotesk", "files/HankenGrotesk-Bold.otf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSerif-Bold.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/STIXGeneralBol.ttf"),
)
Face = tuple[str, str]
BLACK = (40, 38, 36)


@cache
def _font(face: Face, size_px: int) -> ImageFont.FreeTypeFont:
    package, file = face
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the typeface {file!r} needs the Python package {package!r}, which is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def print_line(page: np.ndarray, text: str, left: float, base: float, size_px: int, face: Face, cover: float = 0.9) -> float:
    """Print one line whose base line is `base`, in place, and return where it ends in pixels."""
    font = _font(face, size_px)
    width = int(font.getlength(text)) + 4
    top = int(base - size_px * 1.05)
    image = Image.new("L", (width, int(size_px * 1.5)), 0)
    ImageDraw.Draw(image).text((0, size_px * 1.05), text, fill=255, font=font, anchor="ls")
    ink, x = np.asarray(image), int(left)
    y1, y2, x1, x2 = max(top, 0), min(top + ink.shape[0], page.shape[0]), max(x, 0), min(x + ink.shape[1], page.shape[1])
    if y2 > y1 and x2 > x1:
        blend(page[y1:y2, x1:x2], ink[y1 - top : y2 - top, x1 - x : x2 - x], BLACK, cover)
    return left + width


def paragraph(page: np.ndarray, left: float, top: float, width: float, lines: int, size_px: int, face: Face, dice: Dice) -> float:
    """Print lines of words within `width`, in place, and return where the next thing may stand (y in pixels)."""
    letters, pitch = int(width / (size_px * 0.5)), size_px * dice.between(1.25, 1.6)
    for k in range(lines):
        short = letters if k < lines - 1 else int(letters * dice.between(0.3, 0.95))
        text = sentence(dice, short)[: max(short, 4)]
        print_line(page, text, left, top + pitch * (k + 1), size_px, face)
    return top + pitch * (lines + 0.7)


def rule(page: np.ndarray, start: tuple[float, float], stop: tuple[float, float], dice: Dice, dotted: bool = False) -> None:
    """Print a straight rule, solid or dotted, in place."""
    colour, (x1, y1), (x2, y2) = (dice.whole(30, 120),) * 3, start, stop
    if not dotted:
        cv2.line(page, (int(x1), int(y1)), (int(x2), int(y2)), colour, 1, cv2.LINE_AA)
        return
    for x in np.arange(x1, x2, 5):
        cv2.circle(page, (int(x), int(y1)), 1, colour, -1)
