"""Handwriting-like lines: made-up German place and street names, set in an italic face, letter by letter, and bent.

Nobody's hand, and no substitute for one: for tests that need no files, and to begin a training with. The faces are those
that come with matplotlib. The same seed and index give the same text and picture in every process.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from glyphyard.data.synth.dice import Dice

WORDS = "words"  # what stands in the place of a plate's family
FACES = ("STIXGeneralItalic.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSansMono-Oblique.ttf")
SIZE_PX, MARGIN_PX = 44, 24
FRONTS = ("Groß ", "Klein ", "Bad ", "Am ", "An der ", "St. ", "Neu", "Alt", "Ober", "Unter", "Hohen", "Nieder")
STEM_LIST = (
    "Lind Eich Birk König Müh Schön Grün Wäld Röth Bär Kräh Hirsch Fuchs Stein Sand Tann Öl Über Äcker Quell Jäger Zieg"
    " Pfarr Vogt Wolf Düster Camp Ill Yb Xaver Horn Gans Mark Post Damm Erl Nuss Rieß Zoll Pusch Ulm Veil Jung Quer Teich"
)
END_LIST = (
    "bach berg dorf hausen feld see tal walde kirchen stedt mühle brück ow itz heim furt straße weg gasse platz hof rode au"
)
STEMS, ENDS = tuple(STEM_LIST.split()), tuple(END_LIST.split())


@dataclass(frozen=True)
class DrawnWords:
    """A line of text `image_bgr` (H, W, 3) uint8, what it says, and how it was drawn, for slicing."""

    image_bgr: np.ndarray
    text: str
    meta: dict[str, str]


def words_of(seed: int, index: int) -> str:
    """Return the text that `render_words(seed, index)` shows, without drawing it."""
    dice = Dice.of(WORDS, seed, index)
    name = _name(dice)
    if dice.chance(0.35):
        front = dice.pick(FRONTS)
        name = front + (name if front.endswith(" ") else name.lower())
    if dice.chance(0.15):
        return f"{name}-{_name(dice)}"
    return f"{name} ({dice.pick(STEMS)})" if dice.chance(0.06) else name


def _name(dice: Dice) -> str:
    return dice.pick(STEMS) + dice.pick(ENDS)


def render_words(seed: int, index: int, difficulty: float = 1.0) -> DrawnWords:
    """Return the line of (seed, index); `difficulty` (0..1) is the share of what makes a hand hard to read."""
    text, dice = words_of(seed, index), Dice.of("hand", seed, index)
    face = dice.pick(FACES)
    ink = _bent(_written(text, face, dice, difficulty), dice, difficulty)
    ys, xs = np.nonzero(ink > 0.2)
    edges = [dice.whole(2, 10) for _ in range(4)]
    top, bottom = max(0, ys.min() - edges[0]), min(ink.shape[0], ys.max() + edges[1])
    left, right = max(0, xs.min() - edges[2]), min(ink.shape[1], xs.max() + edges[3])
    grey = _on_paper(ink[top:bottom, left:right], dice, difficulty)
    return DrawnWords(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), text, {"face": face.partition(".")[0]})


def _written(text: str, face: str, dice: Dice, difficulty: float) -> np.ndarray:
    """Set the letters one by one on a wavy line; returns ink (H, W) float32 in [0, 1]."""
    font = _font(face)
    advances = [font.getlength(c) * dice.between(1 - 0.12 * difficulty, 1 + 0.15 * difficulty) for c in text]
    canvas = Image.new("L", (round(sum(advances)) + 2 * MARGIN_PX, 2 * SIZE_PX + MARGIN_PX))
    pen = ImageDraw.Draw(canvas)
    wave, phase = dice.between(0, 4) * difficulty, dice.between(0, 6.3)
    x, line = float(MARGIN_PX), 1.4 * SIZE_PX
    for character, advance in zip(text, advances, strict=True):
        y = line + wave * np.sin(phase + x / 60) + dice.between(-1.5, 1.5) * difficulty
        pen.text((x, y), character, fill=255, font=font, anchor="ls")
        x += advance
    return np.asarray(canvas, np.float32) / 255


def _bent(ink: np.ndarray, dice: Dice, difficulty: float) -> np.ndarray:
    """Slant, bend and thicken or thin the strokes."""
    height, width = ink.shape
    numbers = np.random.default_rng(dice.getrandbits(32))
    grid = (max(2, height // 24), max(2, width // 24))
    bend = [
        cv2.resize(numbers.normal(0, 1.6 * difficulty, grid).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    ]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    slant = dice.between(-0.25, 0.25) * difficulty
    moved = cv2.remap(ink, columns + bend[0] + slant * (rows - height / 2), rows + bend[1], cv2.INTER_LINEAR)
    pressed = cv2.GaussianBlur(moved, (0, 0), dice.between(0.7, 1.3))
    return np.clip((pressed - dice.between(0.12, 0.35)) * 4, 0, 1)


def _on_paper(ink: np.ndarray, dice: Dice, difficulty: float) -> np.ndarray:
    numbers = np.random.default_rng(dice.getrandbits(32))
    paper, dark = dice.between(225, 255), dice.between(20, 110)
    noise = numbers.normal(0, 5 * difficulty, ink.shape)
    return np.clip(paper - ink * (paper - dark) + noise, 0, 255).astype(np.uint8)


@cache
def _font(face: str) -> ImageFont.FreeTypeFont:
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"typeface {face!r} needs the Python package matplotlib, which is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / "mpl-data" / "fonts" / "ttf" / face
    return ImageFont.truetype(str(path), SIZE_PX, layout_engine=ImageFont.Layout.BASIC)
