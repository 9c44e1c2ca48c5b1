"""Typefaces from the locked font packages, and words drawn with them (state names, slogans, stickers)."""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_MATPLOTLIB = ("matplotlib", "mpl-data/fonts/ttf")
_ROBOTO, _SOURCE = ("font_roboto", "files"), ("font_source_sans_pro", "files")
_HANKEN, _MANROPE = ("font_hanken_grotesk", "files"), ("font_manrope", "files")

FACES: dict[str, tuple[tuple[str, str], str]] = {
    "roboto-medium": (_ROBOTO, "Roboto-Medium.ttf"),
    "roboto-bold": (_ROBOTO, "Roboto-Bold.ttf"),
    "roboto-black": (_ROBOTO, "Roboto-Black.ttf"),
    "roboto-italic": (_ROBOTO, "Roboto-BoldItalic.ttf"),
    "source-semibold": (_SOURCE, "SourceSansPro-Semibold.ttf"),
    "source-bold": (_SOURCE, "SourceSansPro-Bold.ttf"),
    "source-black": (_SOURCE, "SourceSansPro-Black.ttf"),
    "hanken-semibold": (_HANKEN, "HankenGrotesk-SemiBold.otf"),
    "hanken-bold": (_HANKEN, "HankenGrotesk-Bold.otf"),
    "fredoka": (("font_fredoka_one", "files"), "FredokaOne-Regular.ttf"),
    "manrope-bold": (_MANROPE, "Manrope-Bold.ttf"),
    "dejavu-bold": (_MATPLOTLIB, "DejaVuSans-Bold.ttf"),
    "dejavu-mono-bold": (_MATPLOTLIB, "DejaVuSansMono-Bold.ttf"),
    "dejavu-serif-bold": (_MATPLOTLIB, "DejaVuSerif-Bold.ttf"),
    "dejavu-serif-italic": (_MATPLOTLIB, "DejaVuSerif-BoldItalic.ttf"),
    "stix-bold": (_MATPLOTLIB, "STIXGeneralBol.ttf"),
    "stix-italic": (_MATPLOTLIB, "STIXGeneralBolIta.ttf"),
}
"""Name to ((package, folder), file)."""

SMALL_PRINT = ("roboto-bold", "source-bold", "hanken-bold", "dejavu-serif-bold", "stix-bold", "roboto-medium")
SCRIPT = ("stix-italic", "dejavu-serif-italic", "roboto-italic", "fredoka")


@cache
def face_path(name: str) -> Path:
    """Return the file of a typeface; a missing package raises `FileNotFoundError` that names it."""
    (package, folder), file = FACES[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"typeface {name!r} needs the Python package {package!r}, which is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / folder / file
    if not path.is_file():
        raise FileNotFoundError(f"typeface {name!r}: no file {path}")
    return path


@cache
def _font(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face_path(name)), size_px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def draw_word(text: str, face: str, size_px: int) -> np.ndarray:
    """Return the mask (H, W) uint8 of `text`, cropped to its ink; do not write to it."""
    font = _font(face, size_px)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (max(int(right - left), 1) + 4, max(int(bottom - top), 1) + 4), 0)
    ImageDraw.Draw(image).text((2 - left, 2 - top), text, fill=255, font=font)
    mask = np.asarray(image)
    x, y, width, height = cv2.boundingRect(mask)
    mask = mask[y : y + height, x : x + width].copy() if width and height else np.zeros((size_px, 1), np.uint8)
    mask.setflags(write=False)
    return mask
