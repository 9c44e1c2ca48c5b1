"""Everything on a plate that is not its number: words, stickers, stacked letters, holes, screws, frames, corners."""

from __future__ import annotations

import cv2
import numpy as np

from glyphyard.data.synth import faces, glyphs
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.style import Colour, Style, colour, sheet_of

_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC "
MONTHS = tuple(_MONTHS.split())
_STICKER_PAPERS = "e03028 f08018 f0d020 30a050 28a8a0 3060c0 8040a0 f0f0f0 e8e8e8 181818 d85890 "
STICKER_PAPERS = tuple(_STICKER_PAPERS.split())
_FRAME_WORDS = (
    "TOYOTA|HONDA CITY|FORD|AUTO PLAZA|CHEVROLET|www.autosales.com|MY OTHER CAR|ALUMNI|MOTORS|DODGE|GO TIGERS|"
    "NISSAN|BIG AL'S AUTOS|PROUD PARENT|UNIVERSITY|VOLVO OF TOWN|SUBARU|USED CARS|I LOVE MY DOG|HIGHLAND|"
    "SERVICE DEPT"
)
FRAME_WORDS = tuple(_FRAME_WORDS.split("|"))
WORD_PX = 20
"""Size at which small words are drawn before they are fitted; near the sizes wanted, so that a cheap resize will do."""


def stamp(canvas: np.ndarray, mask: np.ndarray, x: float, y: float, ink: Colour, strength: float = 1.0) -> None:
    """Blend `ink` through `mask` with its top left corner at (x, y); what lies outside the canvas is cut."""
    left, top = int(x), int(y)
    mask = mask[max(-top, 0) :, max(-left, 0) :]
    left, top = max(left, 0), max(top, 0)
    part = canvas[top : top + mask.shape[0], left : left + mask.shape[1]]
    if not part.size:
        return
    weight = mask[: part.shape[0], : part.shape[1]] * np.float32(strength / 255.0)
    cv2.blendLinear(part, sheet_of(weight.shape[0], weight.shape[1], ink), 1.0 - weight, weight, dst=part)


def word(text: str, face: str, height: float, limit: float, stretch: float = 1.0) -> np.ndarray:
    """Return the mask of `text` about `height` pixels tall and at most `limit` wide."""
    drawn = faces.draw_word(text, face, WORD_PX)
    tall = max(round(height), 3)
    wide = max(int(min(drawn.shape[1] * height / drawn.shape[0] * stretch, limit)), 3)
    return cv2.resize(drawn, (wide, tall), interpolation=cv2.INTER_LINEAR)


def words(canvas: np.ndarray, style: Style, dice: Dice) -> None:
    """Draw the issuer's name above the text and the slogan or county below it, on bands where the style has them."""
    height, width = canvas.shape[:2]
    top, bottom = style.band[0] * height - 3, style.band[1] * height + 3
    _band(canvas, dice.pick(style.header_band), 0, int(top * dice.between(0.75, 1.0)))
    _band(canvas, dice.pick(style.footer_band), int(bottom + (height - bottom) * dice.between(0.0, 0.25)), height)
    text = dice.pick(style.header)
    if text != "?":
        face = dice.pick(faces.SCRIPT if style.script else faces.SMALL_PRINT)
        size = min(dice.between(10, 17) * (1.15 if style.script else 1.0), top - 2)
        mask = word(text, face, size, width * 0.72, dice.between(0.85, 1.35))
        x = (width - mask.shape[1]) * min(max(dice.gauss(0.5, 0.06), 0.0), 1.0)
        stamp(canvas, mask, x, dice.between(2, max(top - size, 2.5)), colour(dice.pick(style.header_ink)))
    text = dice.pick(style.footer)
    if text != "?":
        size = dice.between(6, min(13, height - bottom - 1))
        mask = word(text, dice.pick(faces.SMALL_PRINT + faces.SCRIPT), size, width * 0.8, dice.between(0.8, 1.4))
        x = (width - mask.shape[1]) * min(max(dice.gauss(0.5, 0.08), 0.0), 1.0)
        y = dice.between(bottom, max(height - size - 2, bottom + 0.5))
        stamp(canvas, mask, x, y, colour(dice.pick(style.footer_ink)))


def _band(canvas: np.ndarray, code: str, top: int, bottom: int) -> None:
    if code != "?" and bottom > top:
        canvas[top:bottom] = colour(code)


def stickers(canvas: np.ndarray, style: Style, dice: Dice) -> None:
    """Draw month and year stickers, or their empty boxes, into the style's corners."""
    height, width = canvas.shape[:2]
    for corner in style.stickers:
        if not dice.chance(0.75):
            continue
        wide, tall = dice.between(0.07, 0.15) * width, dice.between(0.12, 0.19) * height
        x = dice.between(0.015, 0.07) * width if corner in "13" else width * dice.between(0.93, 0.985) - wide
        y = dice.between(0.02, 0.06) * height if corner in "12" else height * dice.between(0.94, 0.985) - tall
        _sticker(canvas, dice, (int(x), int(y), int(x + wide), int(y + tall)))


def _sticker(canvas: np.ndarray, dice: Dice, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    text = dice.pick(MONTHS) if dice.chance(0.4) else str(dice.pick((dice.whole(1, 12), dice.whole(10, 99), 2008)))
    bare = dice.chance(0.25)
    paper = colour(dice.pick(STICKER_PAPERS))
    ink = colour("101010") if bare or sum(paper) > 300 else colour("f4f4f4")
    if bare and dice.chance(0.4):
        cv2.rectangle(canvas, (left, top), (right, bottom), (90, 90, 90), 1)
        return
    if not bare:
        cv2.rectangle(canvas, (left, top), (right, bottom), paper, -1)
    mask = word(text, "roboto-bold", (bottom - top) * dice.between(0.4, 0.8), (right - left) * 0.9, 1.1)
    stamp(canvas, mask, (left + right - mask.shape[1]) / 2, (top + bottom - mask.shape[0]) / 2, ink)


def stacked(canvas: np.ndarray, dice: Dice, x: float, style: Style, ink: Colour) -> float:
    """Draw one to three small letters above each other from `x`; returns the width they took."""
    top, bottom = style.band[0] * canvas.shape[0], style.band[1] * canvas.shape[0]
    die = glyphs.die_of(dice.pick(style.dies), dice.whole(0, glyphs.DIES_PER_GROUP - 1))
    count = dice.weighted(((2, 8.0), (3, 2.0), (1, 1.0)))
    tall = int((bottom - top) / max(count, 2) * dice.between(0.8, 0.92))
    stagger = dice.between(0, 5) if dice.chance(0.4) else 0.0
    letters, widest = dice.pick(("LETTERS", "LETTERS", "MIXED")), 0
    for k in range(count):
        char = dice.pick("ABCDEFGHKLMNPRSTUVWX" if letters == "LETTERS" else "0123456789ABCD")
        mask = glyphs.glyph(die, char)
        wide = max(int(mask.shape[1] * tall / mask.shape[0] * dice.between(0.95, 1.65)), 3)
        small = cv2.resize(mask, (wide, tall), interpolation=cv2.INTER_AREA)
        step = (bottom - top) / max(count, 2)
        y = top + k * step + (0 if count > 1 else (bottom - top) * dice.between(0, 0.5))
        stamp(canvas, small, x + dice.between(0, stagger), y, ink)
        widest = max(widest, wide)
    return widest + stagger + dice.between(1, 6)


def caption(canvas: np.ndarray, dice: Dice, x: float, room: float) -> None:
    """Write a number or a word into a logo, as clubs and races do."""
    text = dice.pick((str(dice.whole(1, 99)), "USA", "LIFE", "FIRE", "4H", "WILDLIFE", "U", "HS", "RESCUE"))
    mask = word(text, dice.pick(faces.SMALL_PRINT), dice.between(8, 22), room * 0.9)
    y = dice.between(0.3, 0.75) * canvas.shape[0]
    stamp(canvas, mask, x + dice.between(0, room * 0.2), y, colour(dice.pick(("f4f4f4", "101010", "c02028", "203880"))))


def holes(canvas: np.ndarray, dice: Dice) -> None:
    """Draw the mounting holes, slots or screws; the lower pair is often absent."""
    height, width = canvas.shape[:2]
    inset_x, inset_y = dice.between(0.2, 0.27) * width, dice.between(0.06, 0.1) * height
    radius, slot = dice.between(1.3, 3.4), dice.between(2, 5) if dice.chance(0.35) else 0.0
    tone = colour(dice.pick(("181818", "302c28", "585858", "909090", "b8b8b8", "f0f0f0", "604028")))
    lower = dice.chance(0.6)
    for x in (inset_x, width - inset_x):
        for y in (inset_y, height - inset_y) if lower else (inset_y,):
            if not dice.chance(0.9):
                continue
            if slot:
                start, stop = (int(x - slot), int(y)), (int(x + slot), int(y))
                cv2.line(canvas, start, stop, tone, max(int(radius * 1.4), 1), cv2.LINE_AA)
                continue
            cv2.circle(canvas, (int(x), int(y)), round(radius), tone, -1, cv2.LINE_AA)
            if radius > 2.2:
                cv2.circle(canvas, (int(x) - 1, int(y) - 1), 1, (235, 235, 235), -1)


def rim(canvas: np.ndarray, dice: Dice, ink: Colour) -> None:
    """Draw the raised or painted border line."""
    height, width = canvas.shape[:2]
    if dice.chance(0.45):
        inset = dice.whole(0, 3)
        tone = ink if dice.chance(0.5) else colour(dice.pick(("d8d8d8", "404040", "f4f4f4", "808080")))
        cv2.rectangle(canvas, (inset, inset), (width - 1 - inset, height - 1 - inset), tone, 1, cv2.LINE_AA)


def frame(canvas: np.ndarray, dice: Dice) -> str:
    """Lay a dealer's frame over the edges; returns its kind."""
    height, width = canvas.shape[:2]
    tone = colour(dice.pick(("101010", "181818", "303030", "b0b0b0", "d8d8d8", "203050")))
    top, bottom = int(dice.between(2, 17)), int(dice.between(2, 15))
    side = int(dice.between(1, 5))
    canvas[:top], canvas[height - bottom :] = tone, tone
    canvas[:, :side], canvas[:, width - side :] = tone, tone
    ink = colour("f0f0f0") if sum(tone) < 380 else colour("101010")
    for y, room in ((0, top), (height - bottom, bottom)):
        if room > 8 and dice.chance(0.75):
            mask = word(dice.pick(FRAME_WORDS), dice.pick(faces.SMALL_PRINT), room * 0.7, width * 0.8, 1.2)
            stamp(canvas, mask, (width - mask.shape[1]) / 2, y + room * 0.15, ink)
    return "wide" if max(top, bottom) > 8 else "thin"


def round_corners(canvas: np.ndarray, dice: Dice) -> None:
    """Cut the four corners off to the tone of what is behind the plate."""
    height, width = canvas.shape[:2]
    reach = dice.between(2, 7)
    tone = (dice.whole(10, 90),) * 3
    corners = [
        [(x, y), (x + dx * reach, y), (x + dx * reach * 0.3, y + dy * reach * 0.3), (x, y + dy * reach)]
        for x, dx in ((0, 1), (width - 1, -1))
        for y, dy in ((0, 1), (height - 1, -1))
    ]
    cv2.fillPoly(canvas, [np.array(corner, np.int32) for corner in corners], tone)
