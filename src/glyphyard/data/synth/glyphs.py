"""Dies: a die turns a character into a mask, cut either by the stroke font or from an installed typeface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from glyphyard.data.synth import strokes
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.faces import draw_word

MASTER_H = 56
"""Height in pixels of every cached character mask."""

DIES_PER_GROUP = 16


@dataclass(frozen=True, eq=False)
class Die:
    """How one set of characters is cut; lengths are shares of the character height.

    Compared by identity (`die_of` returns each die once), so that a mask is found without hashing 36 variants.
    """

    name: str
    width: float = 0.42
    stroke: float = 0.12
    roundness: float = 0.9
    spacing: float = 0.1
    mono: bool = True
    serif: float = 0.0
    slant: float = 0.0
    variants: tuple[tuple[str, str], ...] = ()
    face: str = ""
    """A typeface of `faces.FACES`; empty for the stroke font."""


@dataclass(frozen=True)
class Group:
    """The ranges from which the dies of one group are drawn."""

    width: tuple[float, float] = (0.37, 0.47)
    stroke: tuple[float, float] = (0.1, 0.15)
    roundness: tuple[float, float] = (0.6, 1.0)
    spacing: tuple[float, float] = (0.08, 0.16)
    serif: float = 0.0
    faces: tuple[str, ...] = ()
    mono: float = 0.55
    fixed: tuple[tuple[str, str], ...] = ()


SANS = ("roboto-bold", "roboto-medium", "roboto-black", "source-semibold", "source-bold", "hanken-semibold")
ROUND = ("manrope-bold", "fredoka", "dejavu-bold", "dejavu-mono-bold", "hanken-bold", "source-black")

GROUPS: dict[str, Group] = {
    "tall": Group(),
    "thin": Group(stroke=(0.075, 0.11), width=(0.36, 0.46)),
    "heavy": Group(stroke=(0.14, 0.19), width=(0.4, 0.5), roundness=(0.5, 0.9)),
    "wide": Group(width=(0.46, 0.6), roundness=(0.5, 0.95)),
    "square": Group(width=(0.4, 0.52), roundness=(0.25, 0.55), stroke=(0.1, 0.16)),
    "serif": Group(width=(0.4, 0.5), stroke=(0.09, 0.12), serif=0.1),
    "bar1": Group(fixed=(("1", "1.bar"), ("I", "I")), mono=1.0),
    "face": Group(faces=SANS, width=(0.38, 0.52)),
    "round": Group(faces=ROUND, width=(0.42, 0.56)),
    "book": Group(faces=("dejavu-serif-bold", "stix-bold"), width=(0.42, 0.54)),
    "florida": Group(width=(0.38, 0.45), stroke=(0.11, 0.145), roundness=(0.8, 1.0), fixed=(("0", "0"),)),
    "mercosul": Group(width=(0.5, 0.62), stroke=(0.14, 0.19), roundness=(0.45, 0.9), spacing=(0.06, 0.12), fixed=(("0", "0"),)),
}


@cache
def die_of(group: str, number: int) -> Die:
    """Return die `number` of a group; the same one in every process."""
    dice, spec = Dice.of("die", group, number), GROUPS[group]
    chosen = {char: dice.pick(strokes.variants_of(char)) for char in strokes.ALPHABET}
    if chosen["0"] == "0.slash" and not dice.chance(0.06):
        chosen["0"] = "0"
    if chosen["1"] == "1.bar" and not dice.chance(0.35):
        chosen["1"] = "1"
    if chosen["I"] == "I.bar" and (chosen["1"] == "1.bar" or dice.chance(0.7)):
        chosen["I"] = "I"
    chosen |= dict(spec.fixed)
    return Die(
        name=f"{group}-{number}",
        width=dice.between(*spec.width),
        stroke=dice.between(*spec.stroke),
        roundness=dice.between(*spec.roundness),
        spacing=dice.between(*spec.spacing),
        mono=dice.chance(spec.mono),
        serif=spec.serif * dice.between(0.5, 1.2),
        slant=dice.between(-0.03, 0.05) if dice.chance(0.1) else 0.0,
        variants=tuple(sorted(chosen.items())),
        face=dice.pick(spec.faces) if spec.faces else "",
    )


@cache
def glyph(die: Die, char: str) -> np.ndarray:
    """Return the mask (MASTER_H, W) uint8 of a character, no margins; do not write to it."""
    mask = _cut_face(die, char) if die.face else _cut_strokes(die, char)
    mask.setflags(write=False)
    return mask


def advance(die: Die) -> float:
    """Return the pitch in pixels of a monospaced die, without spacing."""
    return die.width * MASTER_H


def _cut_strokes(die: Die, char: str) -> np.ndarray:
    scale = 2
    name = dict(die.variants).get(char, char)
    height = MASTER_H * scale
    pen = max(die.stroke * height, 2.0)
    width = max(die.width * height - pen, 4.0) * strokes.relative_width(name)
    if name[0] in "MW":
        width, pen = width + 0.15 * pen, pen * 0.88
    tall = height - pen
    radius = die.roundness * 0.5 * (die.width * height - pen) * 1.02
    foot = int(die.serif * height)
    margin = pen / 2 + foot
    canvas = np.zeros((height, round(width + 2 * margin)), np.uint8)
    for points, closed in strokes.outline(name, width, tall, radius):
        fixed = np.round((points + np.array([margin, pen / 2], np.float32)) * 16).astype(np.int32)
        cv2.polylines(canvas, [fixed], closed, 255, round(pen), cv2.LINE_AA, 4)
    if foot:
        _add_serifs(canvas, name, width, tall, margin, pen, foot)
    return cv2.resize(canvas, (max(canvas.shape[1] // scale, 3), MASTER_H), interpolation=cv2.INTER_AREA)


def _add_serifs(canvas: np.ndarray, name: str, width: float, tall: float, margin: float, pen: float, foot: int) -> None:
    """Draw a short flat foot across each stroke end that touches the top or the bottom line."""
    for points, closed in strokes.outline(name, width, tall, 0.0):
        for x, y in () if closed else (points[0], points[-1]):
            if y in (0.0, tall) and name[0] not in "023569CGSZJQ":
                centre, line = x + margin, y + pen / 2
                start, stop = (int(centre - foot * 1.3), int(line)), (int(centre + foot * 1.3), int(line))
                cv2.line(canvas, start, stop, 255, max(int(pen * 0.8), 2), cv2.LINE_AA)


def _cut_face(die: Die, char: str) -> np.ndarray:
    drawn = draw_word(char, die.face, 96)
    natural = drawn.shape[1] / drawn.shape[0]
    reference = draw_word("H", die.face, 96)
    squeeze = die.width / (reference.shape[1] / reference.shape[0])
    width = max(round(natural * squeeze * MASTER_H), 4)
    return cv2.resize(drawn, (width, MASTER_H), interpolation=cv2.INTER_AREA)
