"""Pictures on plates: scenery behind the text, emblems between the groups, logos beside it.

Everything is drawn in place on a canvas (H, W, 3) uint8; positions are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import Colour, colour

_SHADES = (
    "b8c8dc 9fb4cc c4ccd0 d8d4c0 a8c8a8 88b890 e0c890 e8b070 d08858 c8a0b0 b0a0c8 90a8b8 f0d880 d8e0e8 78a0c8 a8b8a0 "
    "506880 405c48 704830 802838 284878 e8e0d0 "
)
SHADES = tuple(_SHADES.split())
_VIVID = "d02020 1050a8 187838 f0a818 e86018 204080 601878 101010 108888 a01028 c8a020 304858 "
VIVID = tuple(_VIVID.split())


def _points(pairs: list[tuple[float, float]]) -> np.ndarray:
    return np.round(np.array(pairs) * 16).astype(np.int32)


def fill(canvas: np.ndarray, pairs: list[tuple[float, float]], ink: Colour) -> None:
    """Fill one polygon with soft edges."""
    cv2.fillPoly(canvas, [_points(pairs)], ink, cv2.LINE_AA, 4)


def ridge(canvas: np.ndarray, dice: Dice, ink: Colour, base: float, rise: float) -> None:
    """Draw a mountain line from left to right: `base` and `rise` are shares of the height."""
    height, width = canvas.shape[:2]
    steps, points = dice.whole(4, 11), [(0.0, float(height))]
    for step in range(steps + 1):
        points.append((step * width / steps, (base - rise * dice.random()) * height))
    fill(canvas, [*points, (float(width), float(height))], ink)


def blob(canvas: np.ndarray, dice: Dice, centre: tuple[float, float], size: tuple[float, float], ink: Colour) -> None:
    """Draw a ragged closed shape: a state, a bush, an animal seen in bad light."""
    count, phase = dice.whole(5, 12), dice.between(0, 6.28)
    fill(
        canvas,
        [
            (
                centre[0] + size[0] * dice.between(0.55, 1.0) * math.cos(phase + k * 6.2832 / count),
                centre[1] + size[1] * dice.between(0.55, 1.0) * math.sin(phase + k * 6.2832 / count),
            )
            for k in range(count)
        ],
        ink,
    )


def mountains(canvas: np.ndarray, dice: Dice) -> None:
    """Draw one to three ridges, paler with distance."""
    for layer in range(dice.whole(1, 3)):
        ridge(canvas, dice, colour(dice.pick(SHADES)), dice.between(0.55, 0.9) + 0.05 * layer, dice.between(0.1, 0.5))


def foot_hills(canvas: np.ndarray, dice: Dice) -> None:
    """Draw dark hills, trees or a skyline below the text."""
    ridge(canvas, dice, colour(dice.pick(SHADES[-8:])), dice.between(0.84, 0.95), dice.between(0.05, 0.22))


def head_hills(canvas: np.ndarray, dice: Dice) -> None:
    """Draw a coloured sky above a ridge that ends where the text begins."""
    height, width = canvas.shape[:2]
    ink, low = colour(dice.pick(VIVID)), dice.between(0.25, 0.42)
    steps = dice.whole(5, 12)
    line = [(k * width / steps, (low - 0.2 * dice.random()) * height) for k in range(steps + 1)]
    fill(canvas, [(0.0, 0.0), *line, (float(width), 0.0)], ink)


def arch(canvas: np.ndarray, dice: Dice) -> None:
    """Draw a rainbow or a swoosh: wide concentric bows."""
    height, width = canvas.shape[:2]
    centre = (int(width * dice.between(0.4, 0.6)), int(height * dice.between(0.75, 1.1)))
    radius = (width * dice.between(0.36, 0.48), height * dice.between(0.6, 0.95))
    for k in range(dice.whole(2, 4)):
        axes = (int(radius[0] - 5 * k), int(radius[1] - 5 * k))
        if min(axes) > 0:
            cv2.ellipse(canvas, centre, axes, 0, 180, 360, colour(dice.pick(SHADES)), 5, cv2.LINE_AA)


def shapes(canvas: np.ndarray, dice: Dice) -> None:
    """Draw a few large pale shapes anywhere, also behind the characters."""
    height, width = canvas.shape[:2]
    for _ in range(dice.whole(1, 4)):
        centre = (dice.between(0.1, 0.9) * width, dice.between(0.3, 0.9) * height)
        size = (dice.between(8, 45), dice.between(8, 32))
        blob(canvas, dice, centre, size, colour(dice.pick(SHADES)))


def middle(canvas: np.ndarray, dice: Dice) -> None:
    """Draw one dominant picture in the middle: a portrait, a tree, a flower, a seal."""
    height, width = canvas.shape[:2]
    x, y = width * dice.between(0.42, 0.58), height * dice.between(0.45, 0.6)
    for _ in range(dice.whole(1, 3)):
        size = (dice.between(8, 22), dice.between(12, 32))
        blob(canvas, dice, (x, y), size, colour(dice.pick(SHADES)))


def outline(canvas: np.ndarray, dice: Dice) -> None:
    """Draw the border line of a state across the plate."""
    height, width = canvas.shape[:2]
    count = dice.whole(6, 12)
    centre, size = (width * dice.between(0.35, 0.65), height * 0.55), (dice.between(20, 90), dice.between(20, 42))
    pairs = [
        (
            centre[0] + size[0] * dice.between(0.7, 1) * math.cos(k * 6.2832 / count),
            centre[1] + size[1] * dice.between(0.7, 1) * math.sin(k * 6.2832 / count),
        )
        for k in range(count)
    ]
    ink = colour(dice.pick(VIVID if dice.chance(0.4) else SHADES))
    cv2.polylines(canvas, [_points(pairs)], True, ink, dice.whole(1, 2), cv2.LINE_AA, 4)


def rays(canvas: np.ndarray, dice: Dice) -> None:
    """Draw rays or stripes from a point."""
    height, width = canvas.shape[:2]
    x, y = dice.between(0, 1) * width, dice.between(0.2, 1.2) * height
    ink, count = colour(dice.pick(SHADES)), dice.whole(6, 14)
    for k in range(count):
        angle = k * 6.2832 / count
        fill(
            canvas,
            [
                (x, y),
                (x + 250 * math.cos(angle), y + 250 * math.sin(angle)),
                (x + 250 * math.cos(angle + 0.15), y + 250 * math.sin(angle + 0.15)),
            ],
            ink,
        )


def waves(canvas: np.ndarray, dice: Dice) -> None:
    """Draw a diagonal band or a wave through the whole plate."""
    height, width = canvas.shape[:2]
    base, amplitude, period = dice.between(0.35, 0.8), dice.between(0.05, 0.25), dice.between(0.6, 2.5)
    phase = dice.between(0, 6.28)
    line = [(k * width / 16, height * (base + amplitude * math.sin(phase + k / 16 * 6.28 / period))) for k in range(17)]
    fill(canvas, [*line, (float(width), float(height)), (0.0, float(height))], colour(dice.pick(SHADES)))


def panel(canvas: np.ndarray, dice: Dice) -> None:
    """Draw a frame line around the text, as on old plates."""
    height, width = canvas.shape[:2]
    ink = colour(dice.pick(("ffffff", *VIVID)))
    top, bottom = int(height * dice.between(0.2, 0.26)), int(height * dice.between(0.79, 0.86))
    cv2.rectangle(canvas, (2, top), (width - 3, bottom), ink, dice.whole(1, 2), cv2.LINE_AA)


ARTS: dict[str, Callable[[np.ndarray, Dice], None]] = {
    "mountains": mountains,
    "foot_hills": foot_hills,
    "head_hills": head_hills,
    "arch": arch,
    "shapes": shapes,
    "middle": middle,
    "outline": outline,
    "rays": rays,
    "waves": waves,
    "panel": panel,
}


def logo(canvas: np.ndarray, dice: Dice, x0: float, x1: float) -> None:
    """Draw a club's badge, an animal or a wheelchair between `x0` and `x1`."""
    height = canvas.shape[0]
    x, y, reach = (x0 + x1) / 2, height * dice.between(0.45, 0.62), max((x1 - x0) / 2, 4)
    kind, ink = dice.whole(0, 3), colour(dice.pick(VIVID))
    if kind == 0:
        cv2.circle(canvas, (int(x), int(y)), int(reach), ink, -1, cv2.LINE_AA)
        cv2.circle(canvas, (int(x), int(y)), int(reach * 0.7), colour(dice.pick(SHADES)), 2, cv2.LINE_AA)
        blob(canvas, dice, (x, y), (reach * 0.5, reach * 0.5), colour(dice.pick(VIVID)))
    elif kind == 1:
        for _ in range(dice.whole(2, 4)):
            at = (x + dice.between(-0.3, 0.3) * reach, y + dice.between(-0.8, 0.8) * reach)
            blob(canvas, dice, at, (reach * 0.8, reach * dice.between(0.5, 1.4)), colour(dice.pick(VIVID)))
    elif kind == 2:
        blob(canvas, dice, (x, y), (reach, reach * dice.between(1, 1.9)), ink)
    else:
        cv2.circle(canvas, (int(x), int(y + reach * 0.4)), int(reach * 0.6), ink, 2, cv2.LINE_AA)
        cv2.line(canvas, (int(x), int(y + reach * 0.3)), (int(x - reach * 0.2), int(y - reach * 0.7)), ink, 3)
        cv2.circle(canvas, (int(x - reach * 0.2), int(y - reach)), 2, ink, -1, cv2.LINE_AA)


def orange(canvas: np.ndarray, dice: Dice, x: float, y: float, reach: float) -> None:
    """Draw Florida's two oranges with leaves and a blossom."""
    green = colour(dice.pick(("2c7a35", "3c8a40", "1f6a2c")))
    blob(canvas, dice, (x - reach * 0.3, y - reach * 0.9), (reach * 1.1, reach * 0.7), green)
    for dx, dy in ((-0.4, 0.35), (0.45, 0.0)):
        at = (int(x + dx * reach), int(y + dy * reach))
        cv2.circle(canvas, at, int(reach * 0.62), colour(dice.pick(("f08a1c", "ee7a14", "f59a2c"))), -1, cv2.LINE_AA)
    at = (int(x + 0.1 * reach), int(y - 0.5 * reach))
    cv2.circle(canvas, at, max(int(reach * 0.28), 1), (245, 250, 250), -1, cv2.LINE_AA)
    blob(canvas, dice, (x + reach * 0.5, y + reach * 0.8), (reach * 0.5, reach * 0.25), green)


def state_shape(canvas: np.ndarray, dice: Dice, x: float, y: float, reach: float) -> None:
    """Draw a small filled state, shield or heart."""
    size = (reach * dice.between(0.6, 1.2), reach * dice.between(0.6, 1.2))
    blob(canvas, dice, (x, y), size, colour(dice.pick(VIVID)))


def seal(canvas: np.ndarray, dice: Dice, x: float, y: float, reach: float) -> None:
    """Draw a round seal, sun or compass."""
    reach *= dice.between(1.0, 1.8)
    cv2.circle(canvas, (int(x), int(y)), int(reach), colour(dice.pick(SHADES + VIVID)), -1, cv2.LINE_AA)
    cv2.circle(canvas, (int(x), int(y)), max(int(reach * 0.6), 1), colour(dice.pick(VIVID)), 1, cv2.LINE_AA)
    blob(canvas, dice, (x, y), (reach * 0.5, reach * 0.6), colour(dice.pick(VIVID)))


def tall_thing(canvas: np.ndarray, dice: Dice, x: float, y: float, reach: float) -> None:
    """Draw a tree, lighthouse, rider or saguaro that is as tall as the characters."""
    ink = colour(dice.pick(("187858", "20385c", "303030", "402818", "8c8478", "107048", "601818")))
    height = reach * dice.between(2.0, 4.0)
    if dice.chance(0.5):
        for k in range(4):
            top, half = y - height / 2 + k * height / 5, reach * (0.4 + 0.22 * k)
            fill(canvas, [(x, top), (x + half, top + height / 3), (x - half, top + height / 3)], ink)
    else:
        for k in range(3):
            at = (x + reach * dice.between(-0.3, 0.3), y + height * 0.3 * (k - 1))
            blob(canvas, dice, at, (reach * 0.9, height * 0.25), ink)
    cv2.line(canvas, (int(x), int(y)), (int(x), int(y + height / 2)), ink, 2)


def stripes(canvas: np.ndarray, dice: Dice, x: float, y: float, reach: float) -> None:
    """Draw two bars with three stars above, as Washington DC has."""
    ink = colour(dice.pick(("c02030", "a82038", "d04040")))
    half, x_int = int(reach * 0.9), int(x)
    for dy in (0.1, 0.75):
        top = int(y + dy * reach)
        cv2.rectangle(canvas, (x_int - half, top), (x_int + half, top + max(int(reach * 0.3), 1)), ink, -1)
    for dx in (-0.6, 0.0, 0.6):
        cv2.circle(canvas, (int(x + dx * reach), int(y - reach * 0.5)), max(int(reach * 0.2), 1), ink, -1, cv2.LINE_AA)


def speck(canvas: np.ndarray, dice: Dice, x: float, y: float, reach: float) -> None:
    """Draw a small diamond, star or dot."""
    blob(canvas, dice, (x, y), (reach * 0.45, reach * 0.45), colour(dice.pick(VIVID)))


EMBLEMS: dict[str, Callable[[np.ndarray, Dice, float, float, float], None]] = {
    "orange": orange,
    "blob": state_shape,
    "seal": seal,
    "tall": tall_thing,
    "stripes": stripes,
    "speck": speck,
}
