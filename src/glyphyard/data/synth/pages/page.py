"""One synthetic document from (seed, index): the same bytes in every process and in every order."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from glyphyard.core.boxes import clip
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.pages import paper
from glyphyard.data.synth.pages.hand import WRITERS, writer_of
from glyphyard.data.synth.pages.layouts import LAYOUTS, Sheet, lines_of_text, new_sheet

KINDS: tuple[str, ...] = tuple(LAYOUTS)
LEAST_PX = 5.0  # less of a line than this is no line
LEAST_LEFT = 0.4  # share of a line's own box that has to stay on the page


@dataclass(frozen=True)
class SyntheticPage:
    """A document `image_bgr` (H,W,3) uint8, the box of each written line (N,4) in pixels, its text, and what page it is."""

    image_bgr: np.ndarray
    boxes: np.ndarray
    texts: tuple[str, ...]
    meta: dict[str, str]


def render_page(seed: int, index: int, difficulty: float = 1.0, kind: str | None = None) -> SyntheticPage:
    """Return the page of (seed, index); `difficulty` (0..1) is the share of stains, shadows, skew and blur.

    `kind`: one of KINDS, drawn when absent; an unknown one raises `ValueError`.
    """
    if kind is not None and kind not in LAYOUTS:
        raise ValueError(f"no kind of page {kind!r}; there are: {', '.join(KINDS)}")
    dice = Dice.of("page", seed, index)
    drawn = dice.weighted(tuple((name, weight) for name, (_, weight) in LAYOUTS.items()))
    kind = kind or drawn
    width = dice.whole(760, 1000)
    height = int(width * dice.between(1.2, 1.45)) if dice.chance(0.85) else int(width * dice.between(0.65, 0.8))
    image = paper.blank(width, height, dice)
    trouble = Dice.of("trouble", seed, index)  # apart, so that difficulty leaves the writing as it is
    if trouble.chance(0.12 * difficulty):
        paper.bleed_through(image, _other_side(image, trouble), trouble)
    writer = writer_of(seed, index)
    sheet = new_sheet(image, dice, kind, writer)
    LAYOUTS[kind][0](sheet)
    for _ in range(trouble.weighted(((0, 1 - 0.45 * difficulty), (1, 0.3 * difficulty), (3, 0.15 * difficulty)))):
        paper.stain(image, trouble)
    if trouble.chance(0.7 * difficulty):
        paper.shadow(image, trouble)
    seen, matrix = paper.view(image, trouble, difficulty)
    seen = paper.lens_and_file(seen, trouble, difficulty)
    boxes, texts = _labels(sheet, matrix)
    meta = {"kind": kind, "pen": sheet.pen.kind, "writer": str(writer), "lines": str(len(texts))}
    return SyntheticPage(np.ascontiguousarray(seen), boxes, texts, meta)


def _other_side(image: np.ndarray, dice: Dice) -> np.ndarray:
    """Return the ink (H,W) uint8 of a written page of the same size: what shines through is nobody's line."""
    white = np.full_like(image, 255)
    sheet = new_sheet(white, dice, "letter", dice.whole(0, WRITERS - 1))
    height, width = image.shape[:2]
    pitch = sheet.hand.x_height_px * 2.8
    lines_of_text(sheet, width * 0.1, width * 0.92, height * 0.08, height * dice.between(0.3, 0.7), pitch)
    return 255 - cv2.cvtColor(white, cv2.COLOR_BGR2GRAY)


def _labels(sheet: Sheet, matrix: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Take the ink of each line through the view and return its tight box; lines that left the page are dropped."""
    boxes, texts = [], []
    width, height = sheet.size
    for outline, text in sheet.lines:
        seen = cv2.perspectiveTransform(outline[None], matrix)[0]
        whole = np.concatenate([seen.min(0), seen.max(0)]).astype(np.float64)
        box = clip(whole, width, height)
        size, full = box[2:] - box[:2], whole[2:] - whole[:2]
        if (size >= LEAST_PX).all() and size.prod() >= LEAST_LEFT * max(full.prod(), 1):
            boxes.append(box)
            texts.append(text)
    return np.array(boxes).reshape(-1, 4), tuple(texts)
