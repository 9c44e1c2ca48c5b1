"""Pens on paper: strokes become ink, drawn twice as large and scaled down, with a pen's width, pressure and colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from glyphyard.data.synth.dice import Dice

SCALE = 2
SHIFT = 3  # fractional bits of the coordinates that OpenCV gets
MARGIN_PX = 6
NIBS = 3  # widths that a broad nib is cut into, by direction

COLOURS = {  # BGR
    "blue": (120, 50, 25),
    "royal": (165, 60, 35),
    "black": (35, 32, 30),
    "grey": (85, 82, 80),
    "red": (45, 40, 170),
    "green": (60, 105, 40),
    "sepia": (45, 70, 100),
}


@dataclass(frozen=True)
class Pen:
    """What writes: kind (ball, nib, pencil, felt), width in page pixels, BGR colour, how much it covers, and the least share of that (0..1)."""

    kind: str
    width_px: float
    colour: tuple[int, int, int]
    cover: float
    steady: float = 1.0

    @classmethod
    def draw(cls, dice: Dice, x_height_px: float) -> Pen:
        """Draw a pen that suits the size of the letters."""
        kind = dice.weighted((("ball", 0.5), ("nib", 0.22), ("pencil", 0.16), ("felt", 0.12)))
        share = {"ball": (0.08, 0.15), "nib": (0.1, 0.2), "pencil": (0.09, 0.15), "felt": (0.16, 0.26)}[kind]
        names = (("black", 0.3), ("blue", 0.35), ("royal", 0.15), ("sepia", 0.06), ("red", 0.08), ("green", 0.06))
        name = "grey" if kind == "pencil" else dice.weighted(names)
        base = COLOURS[name]
        colour = tuple(int(min(max(c + dice.gauss(0, 12), 5), 220)) for c in base)
        cover = dice.between(0.55, 0.85) if kind == "pencil" else dice.between(0.78, 1.0)
        return cls(
            kind, max(dice.between(*share) * x_height_px, 0.8), (colour[0], colour[1], colour[2]), cover, dice.between(0.45, 1.0)
        )


def put_ink(page: np.ndarray, strokes: list[np.ndarray], pen: Pen, dice: Dice) -> np.ndarray | None:
    """Draw strokes on the page (H,W,3) uint8, in place, and return the box of their ink in page pixels, None if there is none."""
    if not strokes:
        return None
    every = np.vstack(strokes)
    low, high = np.floor(every.min(0) - MARGIN_PX).astype(int), np.ceil(every.max(0) + MARGIN_PX).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, page.shape[1::-1])
    if (high - low < 2).any():
        return None
    ink = _draw(strokes, low, high - low, pen)
    if pen.kind == "pencil":
        top, left = dice.whole(0, 200), dice.whole(0, 200)
        grain = np.tile(_grain(), (ink.shape[0] // 512 + 2, ink.shape[1] // 512 + 2))
        ink = cv2.multiply(ink, grain[top : top + ink.shape[0], left : left + ink.shape[1]], scale=1 / 255)
    if pen.kind != "felt":  # the pen runs dry and is dipped again, the hand presses unevenly
        knots = np.array([dice.between(pen.steady, 1) for _ in range(ink.shape[1] // 60 + 2)], np.float32)
        flow = cv2.resize(knots[None], (ink.shape[1], 1), interpolation=cv2.INTER_LINEAR)
        ink = (ink * flow).astype(np.uint8)
    blend(page[low[1] : high[1], low[0] : high[0]], ink, pen.colour, pen.cover)
    half = pen.width_px / 2
    box = np.concatenate([every.min(0) - half, every.max(0) + half])
    return np.clip(box, 0, [page.shape[1], page.shape[0]] * 2)


def _draw(strokes: list[np.ndarray], low: np.ndarray, size: np.ndarray, pen: Pen) -> np.ndarray:
    canvas = np.zeros((size[1] * SCALE, size[0] * SCALE), np.uint8)
    fixed = [np.round((s - low) * (SCALE << SHIFT)).astype(np.int32) for s in strokes]
    width = max(pen.width_px * SCALE, 1)
    if pen.kind in ("ball", "felt"):
        cv2.polylines(canvas, fixed, False, 255, max(round(width), 1), cv2.LINE_AA, SHIFT)
    else:
        pieces = np.concatenate([np.stack([f[:-1], f[1:]], axis=1) for f in fixed if len(f) > 1])
        steps = (pieces[:, 1] - pieces[:, 0]).astype(np.float64)
        # A nib is widest when it is pulled down; a pencil presses harder there.
        down = np.clip(steps[:, 1] / (np.hypot(*steps.T) + 1e-6), -1, 1)
        least = 0.4 if pen.kind == "nib" else 0.75
        level = np.minimum(((down + 1) / 2 * NIBS).astype(int), NIBS - 1)
        for k in range(NIBS):
            chosen = pieces[level == k]
            if len(chosen):
                thick = max(round(width * (least + (1.15 - least) * k / (NIBS - 1))), 1)
                cv2.polylines(canvas, list(chosen), False, 255, thick, cv2.LINE_AA, SHIFT)
    return cv2.resize(canvas, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)


def blend(area_HW3: np.ndarray, ink_HW: np.ndarray, colour: tuple[int, int, int], cover: float) -> None:
    """Lay a colour onto a part of the page where `ink_HW` (uint8, 255 is full) says, in place."""
    alpha = (ink_HW.astype(np.float32) * (cover / 255))[..., None]
    under = area_HW3.astype(np.float32)
    area_HW3[...] = (under + (np.array(colour, np.float32) - under) * alpha).astype(np.uint8)


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    """Return (512,512) uint8: the tooth of the paper that a pencil skips over."""
    random = np.random.default_rng(11)
    noise = cv2.GaussianBlur(random.random((512, 512), np.float32), (0, 0), 0.8)
    noise = (noise - noise.mean()) / noise.std()
    return np.clip(200 + noise * 60, 40, 255).astype(np.uint8)
