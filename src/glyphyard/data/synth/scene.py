"""One plate, flat and lit from the front: paper, pictures, words, stickers, characters, holes and frame."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from glyphyard.data.synth import art, fittings, lettering
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import Colour, Plan, Style, colour

CANVAS_H, CANVAS_W = 100, 200


def compose(plan: Plan, dice: Dice) -> tuple[np.ndarray, dict[str, str]]:
    """Return the plate (CANVAS_H, CANVAS_W, 3) BGR uint8 and what was drawn on it."""
    style = _settle(plan.style, dice)
    canvas = _paper(style, dice)
    picture = dice.pick(style.art)
    for name in picture.split("+"):
        if name in art.ARTS:
            art.ARTS[name](canvas, dice)
    _fade(canvas, dice, picture)
    left, right = _side_room(canvas, style, len(plan.text), dice)
    fittings.words(canvas, style, dice)
    fittings.stickers(canvas, style, dice)
    if dice.chance(0.5):
        fittings.holes(canvas, dice)
    box = (left, right, style.band[0] * CANVAS_H, style.band[1] * CANVAS_H)
    ink = _legible_ink(canvas, style, dice)
    die = lettering.write(canvas, plan, box, ink, dice)
    fitted = fittings.frame(canvas, dice) if dice.chance(0.16) else "none"
    if fitted == "none":
        fittings.rim(canvas, dice, ink)
    fittings.round_corners(canvas, dice)
    return canvas, {"die": die, "art": picture, "frame": fitted}


def _settle(style: Style, dice: Dice) -> Style:
    """Return the style with its text band moved to where this plate has it."""
    shift = dice.between(-style.wander, style.wander)
    return replace(style, band=(style.band[0] + shift, style.band[1] + shift))


def _paper(style: Style, dice: Dice) -> np.ndarray:
    """Return the bare sheet: three colours from top to bottom."""
    return _sheet(dice.pick(style.papers)).copy()


@lru_cache(maxsize=256)
def _sheet(papers: str) -> np.ndarray:
    stops = np.array([[colour(code)] for code in papers.split()], np.uint8)
    return cv2.resize(stops, (CANVAS_W, CANVAS_H), interpolation=cv2.INTER_LINEAR)


def _fade(canvas: np.ndarray, dice: Dice, picture: str) -> None:
    """Let the pictures recede towards a plain tone, as printing does, and soften them."""
    if picture == "?" or "panel" in picture:
        return
    tone, keep = cv2.mean(canvas)[:3], dice.between(0.25, 0.95)
    matrix = np.zeros((3, 4), np.float32)
    matrix[:, :3], matrix[:, 3] = np.eye(3) * keep, np.array(tone) * (1 - keep)
    cv2.transform(canvas, matrix, dst=canvas)
    if dice.chance(0.5):
        cv2.blur(canvas, (3, 3), dst=canvas)


def _side_room(canvas: np.ndarray, style: Style, length: int, dice: Dice) -> tuple[float, float]:
    """Return the left and right limits of the text, after logos and stacked letters took their share."""
    left, right = CANVAS_W * dice.between(0.02, 0.07), CANVAS_W * dice.between(0.93, 0.98)
    if length > 6:
        return left, right
    if dice.chance(style.logo):
        room = CANVAS_W * dice.between(0.14, 0.28)
        art.logo(canvas, dice, left, left + room * 0.92)
        if dice.chance(0.3):
            fittings.caption(canvas, dice, left, room)
        left += room
    if dice.chance(style.stack):
        ink = _legible_ink(canvas, style, dice)
        if dice.chance(0.55):
            left += fittings.stacked(canvas, dice, left, style, ink)
        else:
            width = fittings.stacked(canvas, dice, right - 14, style, ink)
            right -= width + 4
    return left, right


def _legible_ink(canvas: np.ndarray, style: Style, dice: Dice) -> Colour:
    """Return one of the style's inks that stands out from the paper; black or white where none does."""
    top, bottom = int(style.band[0] * CANVAS_H), int(style.band[1] * CANVAS_H)
    paper = cv2.mean(canvas[top:bottom])[:3]
    ink = colour(dice.pick(style.inks))
    if abs(_luma(ink) - _luma(paper)) > 32:
        return ink
    return colour("101418") if _luma(paper) > 110 else colour("f4f4f0")


def _luma(ink: tuple[float, ...]) -> float:
    return 0.114 * ink[0] + 0.587 * ink[1] + 0.299 * ink[2]
