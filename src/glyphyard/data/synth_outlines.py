"""Plates of one or two rows with each character outlined: small, plain, exact; by seed and index.

For tests that need no files, and to begin a training with; the plates of `data.synth` are the realistic ones, without outlines.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from glyphyard.data.synth import glyphs
from glyphyard.data.synth.dice import Dice

LETTERS, DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "0123456789"
DIES = ("tall", "thin", "heavy", "wide", "square")  # of the stroke font: no typeface has to be installed
HEIGHT_PX = 40  # of a character before the plate is tilted
CORNER_PX = 0.8  # what an outline may leave out


@dataclass(frozen=True)
class OutlinedPlate:
    """A plate `image_bgr` (H, W, 3) uint8; `labels[i]` is the character inside `outlines[i]`, (P, 2) in pixels."""

    image_bgr: np.ndarray
    labels: tuple[str, ...]
    outlines: tuple[np.ndarray, ...]


def rows_of_plate(seed: int, index: int) -> tuple[str, ...]:
    """Return the rows of text that `render_outlined(seed, index)` shows, without drawing it."""
    dice = Dice.of("outlined", seed, index)
    region = "".join(dice.pick(LETTERS) for _ in range(2)) + "".join(dice.pick(DIGITS) for _ in range(2))
    series = "".join(dice.pick(LETTERS) for _ in range(dice.whole(1, 2)))
    number = "".join(dice.pick(DIGITS) for _ in range(4))
    if dice.chance(0.3):
        return region, series + number
    return (region[dice.whole(0, 1) :] + series + number,)


def render_outlined(seed: int, index: int, difficulty: float = 1.0) -> OutlinedPlate:
    """Return the plate of (seed, index); `difficulty` (0..1) is the share of tilt, shadow, blur, noise and dirt."""
    rows, dice = rows_of_plate(seed, index), Dice.of("outlined look", seed, index)
    die = glyphs.die_of(dice.pick(DIES), dice.whole(0, glyphs.DIES_PER_GROUP - 1))
    ink, placed = _set(rows, die, dice)
    dark, light = np.array([dice.between(10, 70) for _ in range(3)]), np.array([dice.between(170, 250) for _ in range(3)])
    if dice.chance(0.15):
        dark, light = light, dark
    share = ink[..., None].astype(np.float32) / 255
    image = share * dark + (1 - share) * light
    matrix = _tilt(ink.shape, dice, difficulty)
    size = (ink.shape[1], ink.shape[0])
    image = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    outlines = [cv2.perspectiveTransform(o[None].astype(np.float64), matrix)[0] + 0.5 for o in placed]
    picture = _spoil(image, dice, difficulty)
    return OutlinedPlate(picture, tuple("".join(rows)), tuple(np.clip(o, 0, size) for o in outlines))


def _set(rows: tuple[str, ...], die: glyphs.Die, dice: Dice) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the ink (H, W) uint8 and each character's outline, in whole pixels counted from the middle of the first."""
    gap, margin = dice.whole(3, 9), dice.whole(8, 20)
    masks = [[_cut(die, character) for character in row] for row in rows]
    widths = [sum(m.shape[1] for m in row) + gap * (len(row) - 1) for row in masks]
    height = len(rows) * HEIGHT_PX + (len(rows) - 1) * 10 + 2 * margin
    ink = np.zeros((height, max(widths) + 2 * margin), np.uint8)
    outlines = []
    for k, row in enumerate(masks):
        x, y = (ink.shape[1] - widths[k]) // 2, margin + k * (HEIGHT_PX + 10)
        for mask in row:
            ink[y : y + HEIGHT_PX, x : x + mask.shape[1]] = mask
            outlines.append(_outline(mask) + np.array([x, y]))
            x += mask.shape[1] + gap
    return ink, outlines


def _cut(die: glyphs.Die, character: str) -> np.ndarray:
    mask = glyphs.glyph(die, character)
    width = max(round(mask.shape[1] * HEIGHT_PX / mask.shape[0]), 4)
    return cv2.resize(mask, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA)


def _outline(mask: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours((mask > 96).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(contours, key=cv2.contourArea)
    return cv2.approxPolyDP(longest, CORNER_PX, True)[:, 0].astype(np.float64)


def _tilt(shape: tuple[int, ...], dice: Dice, difficulty: float) -> np.ndarray:
    height, width = shape[:2]
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    moved = corners + [[dice.between(-0.06, 0.06) * difficulty * height for _ in range(2)] for _ in range(4)]
    return cv2.getPerspectiveTransform(corners, moved.astype(np.float32))


def _spoil(image: np.ndarray, dice: Dice, difficulty: float) -> np.ndarray:
    height, width = image.shape[:2]
    numbers = np.random.default_rng(dice.getrandbits(32))
    shade = 1 - 0.4 * difficulty * dice.random() * np.linspace(0, 1, width)[None, :, None]
    image = image * (shade if dice.chance(0.5) else shade[:, ::-1])
    for _ in range(round(3 * difficulty * dice.random())):
        centre = (dice.whole(0, width - 1), dice.whole(0, height - 1))
        image = cv2.circle(np.ascontiguousarray(image), centre, dice.whole(1, 3), (90, 100, 110), -1, cv2.LINE_AA)
    if (sigma := 1.2 * difficulty * dice.random()) > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return np.clip(image + numbers.normal(0, 8 * difficulty * dice.random(), image.shape), 0, 255).astype(np.uint8)
