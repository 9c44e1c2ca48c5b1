"""The main text: characters set on a line, fitted into their box, inked and embossed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from glyphyard.data.synth import art, glyphs
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import Colour, Plan, sheet_of

Box = tuple[float, float, float, float]
"""Left, right, top, bottom in pixels."""


@dataclass
class Line:
    """A set line at MASTER_H: (mask, left edge) of each character and (mark, left edge, width) of each mark."""

    glyphs: list[tuple[np.ndarray, int]]
    marks: list[tuple[str, int, int]]
    width: int


def write(canvas: np.ndarray, plan: Plan, box: Box, ink: Colour, dice: Dice) -> str:
    """Set, ink and emboss the plan's text inside `box` on the canvas; returns the die's name."""
    die = glyphs.die_of(dice.pick(plan.style.dies), dice.whole(0, glyphs.DIES_PER_GROUP - 1))
    height = max((box[3] - box[2]) * dice.between(0.93, 1.05), 6)
    scale = height / glyphs.MASTER_H
    room = (box[1] - box[0]) / scale
    line = _fit(plan, die, room * dice.between(0.78, 1.0), dice)
    squeeze = min(1.0, room / line.width)
    slack = box[1] - box[0] - line.width * scale * squeeze
    left = box[0] + slack * min(max(dice.gauss(0.5, 0.17), 0.0), 1.0)
    top = box[2] + (box[3] - box[2] - height) / 2 + dice.between(-1.5, 1.5)
    mask = _mask(canvas.shape[:2], line, die, (left, top, scale * squeeze, height))
    for mark, x, width in line.marks:
        if mark == "*":
            at = left + (x + width / 2) * scale * squeeze
            reach = max(width * scale * squeeze * 0.5, 3.0)
            art.EMBLEMS[dice.pick(plan.style.emblem)](canvas, dice, at, top + height * dice.between(0.42, 0.58), reach)
    _ink(canvas, mask, ink, dice)
    return die.name


def _fit(plan: Plan, die: glyphs.Die, wanted: float, dice: Dice) -> Line:
    """Set the line once tight, then share the missing width between gaps, spacing and nothing at all."""
    tight = _set(plan, die, die.spacing, 0.0, dice.between(0.3, 0.6))
    missing = max(wanted - tight.width, 0.0)
    pitch = glyphs.advance(die)
    marks = sum(1 for mark in plan.marks if mark)
    into_marks = dice.between(0.2, 0.8) * missing if marks else 0.0
    into_marks = min(into_marks, 1.1 * pitch * marks)
    spread = (missing - into_marks) / max(len(plan.text) - 1, 1) / glyphs.MASTER_H
    spread = min(spread, 0.26 if len(plan.text) > 4 else 0.4)
    gap = dice.between(0.3, 0.7)
    return _set(plan, die, die.spacing + spread, into_marks / max(marks, 1), gap)


def _set(plan: Plan, die: glyphs.Die, spacing: float, extra: float, gap: float) -> Line:
    """Place the characters left to right; `spacing` is a share of the height, `extra` pixels go into each mark."""
    pitch, space, x = glyphs.advance(die), spacing * glyphs.MASTER_H, 0.0
    placed, marks = [], []
    for char, mark in zip(plan.text, plan.marks, strict=True):
        mask = glyphs.glyph(die, char)
        cell = max(pitch, mask.shape[1]) if die.mono else mask.shape[1]
        placed.append((mask, int(x + (cell - mask.shape[1]) / 2)))
        x += cell + space
        if mark:
            width = pitch * {" ": gap, "-": gap + 0.25, ".": gap, "*": gap + 0.3}[mark] + extra
            marks.append((mark, int(x - space / 2), int(width)))
            x += width
    return Line(placed, marks, max(int(x - space) + 2, 4))


def _mask(shape: tuple[int, int], line: Line, die: glyphs.Die, place: tuple[float, float, float, float]) -> np.ndarray:
    """Return the ink mask (H, W) of the whole canvas; `place` is (left, top, horizontal scale, height)."""
    strip = np.zeros((glyphs.MASTER_H, line.width + 4), np.uint8)
    for mask, x in line.glyphs:
        part = strip[:, x : x + mask.shape[1]]
        np.maximum(part, mask[:, : part.shape[1]], out=part)
    for mark, x, width in line.marks:
        _draw_mark(strip, mark, x, width, die)
    left, top, scale_x, height = place
    matrix = np.array([[scale_x, 0, left], [0, height / glyphs.MASTER_H, top]], np.float32)
    if die.slant:
        matrix[0, 1] = -die.slant
    return cv2.warpAffine(strip, matrix, (shape[1], shape[0]), flags=cv2.INTER_LINEAR)


def _draw_mark(strip: np.ndarray, mark: str, x: int, width: int, die: glyphs.Die) -> None:
    middle, pen = glyphs.MASTER_H // 2, max(int(die.stroke * glyphs.MASTER_H), 3)
    if mark == "-":
        half = max(int(min(width, glyphs.advance(die) * 0.9) * 0.36), 3)
        start, stop = (x + width // 2 - half, middle), (x + width // 2 + half, middle)
        cv2.line(strip, start, stop, 255, pen, cv2.LINE_AA)
    elif mark == ".":
        cv2.circle(strip, (x + width // 2, middle), max(int(pen * 0.7), 2), 255, -1, cv2.LINE_AA)


def _ink(canvas: np.ndarray, mask: np.ndarray, ink: Colour, dice: Dice) -> None:
    """Roll the ink over the raised characters and light their edges from one side."""
    _, top, _, tall = cv2.boundingRect(mask)
    rows = slice(max(top - 3, 0), top + tall + 3)
    canvas, mask = canvas[rows], mask[rows]
    weight = mask * np.float32(dice.between(0.72, 1.0) / 255.0)
    cv2.blendLinear(canvas, sheet_of(mask.shape[0], mask.shape[1], ink), 1.0 - weight, weight, dst=canvas)
    strength = dice.between(0.0, 0.5) if dice.chance(0.8) else dice.between(0.5, 0.95)
    if strength < 0.08:
        return
    raised = cv2.blur(mask if dice.chance(0.5) else cv2.dilate(mask, _CROSS), (3, 3))
    x, y = dice.pick(_LIGHTS)
    kernel = np.zeros((3, 3), np.float32)
    kernel[1 - y, 1 - x] -= strength
    kernel[1 + y, 1 + x] += strength
    relief = cv2.filter2D(raised, cv2.CV_16S, kernel)
    cv2.add(canvas, cv2.merge((relief, relief, relief)), dst=canvas, dtype=cv2.CV_8U)


_LIGHTS = ((1, 1), (0, 1), (-1, 1), (0, -1), (1, 0), (-1, -1))
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
