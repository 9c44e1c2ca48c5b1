"""What kinds of documents there are and where a person writes on them; each draws print and returns what was written.

A layout draws on a `Sheet`; every line of handwriting goes through `Sheet.line`, which keeps its ink for the label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.pages import paper, press
from glyphyard.data.synth.pages.hand import Hand, hand_of, signature, write
from glyphyard.data.synth.pages.ink import Pen, put_ink
from glyphyard.data.synth.pages.words import GOODS, LABELS, NAMES, PLACES, TITLES, date, number, sentence, value


@dataclass
class Sheet:
    """A page in the making: its picture, the writer and pen, and the lines so far (ink outline (P,2) px, text)."""

    image: np.ndarray
    hand: Hand
    pen: Pen
    dice: Dice
    lines: list[tuple[np.ndarray, str]] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def line(
        self, text: str, left: float, base: float, most_px: float, hand: Hand | None = None, pen: Pen | None = None
    ) -> float:
        """Write one line as far as it fits, and return where it ends in pixels (`left` where nothing was written)."""
        strokes, written = write(hand or self.hand, text, left, base, self.dice, most_px)
        if not written or not self.keep(strokes, written, pen):
            return left
        if self.dice.chance(0.012):  # struck out
            y = base - self.hand.x_height_px * 0.45
            end = float(max(s[:, 0].max() for s in strokes))
            sweep = np.array(
                [(left, y + self.dice.gauss(0, 2)), ((left + end) / 2, y + self.dice.gauss(0, 3)), (end, y)], np.float32
            )
            put_ink(self.image, [sweep], pen or self.pen, self.dice)
        return float(self.lines[-1][0][:, 0].max())

    def sign(self, left: float, base: float, width_px: float) -> None:
        """Sign."""
        self.keep(signature(self.hand, left, base, width_px, self.dice), "(signature)", None)

    def keep(self, strokes: list[np.ndarray], text: str, pen: Pen | None) -> bool:
        """Put strokes on the page as one line that is to be found; return whether any of it lies on the page."""
        box = put_ink(self.image, strokes, pen or self.pen, self.dice)
        if box is None:
            return False
        outline = np.vstack(strokes)
        half = (pen or self.pen).width_px / 2
        # The ink is wider than the pen's path: its outermost points stand for it.
        rim = np.array([[box[0], outline[outline[:, 0].argmin(), 1]], [box[2], outline[outline[:, 0].argmax(), 1]]])
        ends = np.array([[outline[outline[:, 1].argmin(), 0], box[1]], [outline[outline[:, 1].argmax(), 0], box[3]]])
        inside = (
            (outline[:, 0] > -half) & (outline[:, 0] < self.size[0]) & (outline[:, 1] > -half) & (outline[:, 1] < self.size[1])
        )
        self.lines.append((np.vstack([outline[inside], rim, ends]).astype(np.float32), text))
        return True


def lines_of_text(
    sheet: Sheet, left: float, right: float, top: float, bottom: float, pitch: float, ragged: float = 0.25
) -> float:
    """Fill an area with lines of handwriting, in paragraphs, and return the last base line."""
    dice, y, rest = sheet.dice, top + pitch, 0
    lean = dice.gauss(0, 0.006)
    while y < bottom:
        if rest == 0:
            rest, indent = dice.whole(2, 9), dice.between(0, 0.1) * (right - left)
            if dice.chance(0.3):
                y += pitch * dice.between(0.3, 1)
                continue
        else:
            indent = 0.0
        rest -= 1
        start = left + indent + abs(dice.gauss(0, 0.008)) * (right - left)
        most = (right - start) * (1 - (dice.between(0, ragged) if rest else dice.between(0, 0.8)))
        if most > 3 * sheet.hand.x_height_px:
            letters = int(most / (sheet.hand.x_height_px * 0.75)) + 4
            end = sheet.line(sentence(dice, letters), start, y + lean * (start - left), most)
            if dice.chance(0.04) and end > start + 8 * sheet.hand.x_height_px:
                _insertion(sheet, dice.between(start, end - 4 * sheet.hand.x_height_px), y)
            if dice.chance(0.02):  # underlined; the rule is no text
                x, low = dice.between(start, end), y + sheet.hand.x_height_px * 0.4
                put_ink(
                    sheet.image,
                    [np.array([(x, low), ((x + end) / 2, low + dice.gauss(0, 2)), (end, low)], np.float32)],
                    sheet.pen,
                    dice,
                )
        y += pitch * (1 + dice.gauss(0, 0.03))
    return y


def _insertion(sheet: Sheet, x: float, base: float) -> None:
    """Write a small word above a line, as people do who forgot one: a line of its own."""
    tall = sheet.hand.x_height_px
    small = replace(sheet.hand, x_height_px=tall * sheet.dice.between(0.55, 0.8))
    sheet.line(sentence(sheet.dice, sheet.dice.whole(1, 9)), x, base - tall * sheet.dice.between(1.3, 1.7), tall * 9, hand=small)


def letter(sheet: Sheet) -> None:
    """A page full of handwriting, on plain or lined paper, with a date, a greeting and a name."""
    (width, height), dice, x = sheet.size, sheet.dice, sheet.hand.x_height_px
    pitch = x * dice.between(2.3, 3.6)
    left, right = width * dice.between(0.06, 0.16), width * dice.between(0.88, 0.97)
    top = height * dice.between(0.04, 0.12)
    if dice.chance(0.5):
        paper.rule_lines(sheet.image, dice, top + pitch, pitch)
    if dice.chance(0.6):
        sheet.line(f"{dice.pick(PLACES)} {date(dice)}", width * dice.between(0.5, 0.68), top + pitch, right - width * 0.5)
        top += pitch * dice.between(1, 2)
    if dice.chance(0.6):
        sheet.line("Dear " + dice.pick(NAMES), left, top + pitch, right - left)
        top += pitch * dice.between(1, 1.6)
    end = lines_of_text(sheet, left, right, top, height * dice.between(0.6, 0.96), pitch)
    if end < height * 0.9 and dice.chance(0.7):
        sheet.line(dice.pick(NAMES), width * dice.between(0.4, 0.65), end + pitch, width * 0.4)
    if dice.chance(0.15):  # written on the margin, across
        _upright_note(sheet)


def _upright_note(sheet: Sheet) -> None:
    (width, height), dice = sheet.size, sheet.dice
    strokes, written = write(
        replace(sheet.hand, x_height_px=sheet.hand.x_height_px * 0.8), sentence(dice, 24), 0, 0, dice, height * 0.4
    )
    x, y = width * 0.035 + sheet.hand.x_height_px, height * dice.between(0.5, 0.9)
    if written:
        sheet.keep([np.stack([x + s[:, 1], y - s[:, 0]], axis=1) for s in strokes], written, None)


def note(sheet: Sheet) -> None:
    """A few lines, large, anywhere on the page."""
    (width, height), dice = sheet.size, sheet.dice
    pitch = sheet.hand.x_height_px * dice.between(2.4, 4)
    left, top = width * dice.between(0.05, 0.4), height * dice.between(0.05, 0.5)
    if dice.chance(0.3):
        paper.rule_lines(sheet.image, dice, top + pitch, pitch)
    lines_of_text(sheet, left, width * 0.95, top, min(top + pitch * dice.whole(2, 8), height * 0.95), pitch, ragged=0.6)


def form(sheet: Sheet) -> None:
    """Printed labels, rules, boxes and ticks, with fields that a person filled in; some stay empty."""
    (width, height), dice = sheet.size, sheet.dice
    face, size = dice.pick(press.BODY), dice.whole(12, 17)
    left, right = width * 0.08, width * 0.93
    y = height * dice.between(0.05, 0.09)
    press.print_line(sheet.image, dice.pick(TITLES), left, y, size + dice.whole(6, 16), dice.pick(press.HEADS))
    y += size * 2
    if dice.chance(0.6):
        y = press.paragraph(sheet.image, left, y, right - left, dice.whole(1, 4), size, face, dice)
    style, pitch = dice.pick(("rule", "dots", "box")), max(sheet.hand.x_height_px * 3.2, size * 2.6)
    while y < height * 0.86:
        parts = dice.weighted(((1, 0.5), (2, 0.5)))
        for k in range(parts):
            start = left + (right - left) * k / parts
            _field(sheet, dice.pick(LABELS), start, y + pitch, start + (right - left) / parts - 14, style, size, face)
        y += pitch * dice.between(1.05, 1.5)
        if dice.chance(0.12):
            y = press.paragraph(sheet.image, left, y, right - left, dice.whole(2, 5), size, face, dice)
        if dice.chance(0.15):
            _ticks(sheet, left, y, size, face)
            y += size * 2.2
    if dice.chance(0.7):
        press.rule(sheet.image, (left, height * 0.94), (left + width * 0.3, height * 0.94), dice)
        press.print_line(sheet.image, "Signature", left, height * 0.94 + size * 1.2, max(size - 3, 8), face)
        if dice.chance(0.85):
            sheet.sign(left + width * dice.between(0, 0.05), height * 0.935, width * dice.between(0.14, 0.26))


def _field(sheet: Sheet, label: str, left: float, base: float, right: float, style: str, size: int, face: press.Face) -> None:
    dice = sheet.dice
    if style == "box":
        tall = sheet.hand.x_height_px * 2.6
        cv2.rectangle(
            sheet.image, (int(left), int(base - tall)), (int(right), int(base + tall * 0.35)), (dice.whole(60, 140),) * 3, 1
        )
        press.print_line(sheet.image, label, left + 3, base - tall + size * 0.8, max(size - 4, 8), face)
        start = left + 8
    else:
        start = press.print_line(sheet.image, label + ":", left, base, size, face) + 6
        press.rule(sheet.image, (start, base + 2), (right, base + 2), dice, dotted=style == "dots")
    if dice.chance(0.8) and right - start > 4 * sheet.hand.x_height_px:
        sheet.line(value(dice, label), start + dice.between(0, 12), base - dice.between(0, 4), right - start - 6)


def _ticks(sheet: Sheet, left: float, top: float, size: int, face: press.Face) -> None:
    x, dice = left, sheet.dice
    for _ in range(dice.whole(2, 4)):
        a, b = (int(x), int(top + size * 0.3)), (int(x + size), int(top + size * 1.3))
        cv2.rectangle(sheet.image, a, b, (90, 90, 90), 1)
        if dice.chance(0.5):  # a tick is no text
            cv2.line(sheet.image, (a[0] + 2, a[1] + 3), (b[0] - 1, b[1] - 1), sheet.pen.colour, 2, cv2.LINE_AA)
            cv2.line(sheet.image, (a[0] + 2, b[1] - 2), (b[0] - 1, a[1] + 1), sheet.pen.colour, 2, cv2.LINE_AA)
        x = press.print_line(sheet.image, sentence(dice, 8), x + size * 1.4, top + size * 1.2, size, face) + size * 1.5


def printed(sheet: Sheet) -> None:
    """A printed document, with notes in its margins, between its lines or below; or with none at all."""
    (width, height), dice = sheet.size, sheet.dice
    face, size, columns = dice.pick(press.BODY), dice.whole(12, 18), dice.weighted(((1, 0.7), (2, 0.3)))
    left, right, y = width * dice.between(0.08, 0.2), width * dice.between(0.8, 0.93), height * 0.06
    if dice.chance(0.8):
        press.print_line(sheet.image, sentence(dice, 22).capitalize(), left, y, size + dice.whole(6, 18), dice.pick(press.HEADS))
        y += size * 2
    ends, wide = [], (right - left) / columns
    for k in range(columns):
        at, stop = y, height * dice.between(0.5, 0.9)
        while at < stop:
            at = press.paragraph(sheet.image, left + k * wide, at, wide - 16 * (columns > 1), dice.whole(3, 9), size, face, dice)
            if dice.chance(0.12):
                at = _picture(sheet, left + k * wide, at, wide * dice.between(0.4, 0.9))
        ends.append(at)
    if dice.chance(0.2):
        return  # nothing is written on this one
    pitch = sheet.hand.x_height_px * 2.6
    if max(ends) < height * 0.88:
        lines_of_text(sheet, left, right, max(ends), min(max(ends) + pitch * dice.whole(1, 6), height * 0.96), pitch, 0.5)
    for _ in range(dice.whole(0, 4)):
        small = replace(sheet.hand, x_height_px=sheet.hand.x_height_px * dice.between(0.7, 1.0))
        side = dice.chance(0.5)
        x = width * 0.015 if side else right + 6
        if dice.chance(0.3):
            x = left + dice.between(0, 0.4) * wide
        most = max(left - x - 4 if side and x < left else width - x - 8, 30)
        sheet.line(sentence(dice, dice.whole(4, 22)), x, height * dice.between(0.1, 0.9), most, hand=small)


def _picture(sheet: Sheet, left: float, top: float, size: float) -> float:
    """Print a picture: a drawing of noise, a diagram of curves that are no writing."""
    dice, tall = sheet.dice, size * sheet.dice.between(0.4, 0.8)
    a, b = (int(left), int(top)), (int(left + size), int(top + tall))
    if b[1] >= sheet.size[1] or b[0] >= sheet.size[0]:
        return top
    cv2.rectangle(sheet.image, a, b, (130, 130, 130), 1)
    for _ in range(dice.whole(1, 4)):
        x = np.linspace(a[0] + 4, b[0] - 4, 40)
        y = (a[1] + b[1]) / 2 + tall * 0.3 * np.sin(x / size * dice.between(4, 20) + dice.between(0, 6)) * dice.between(0.3, 1)
        cv2.polylines(
            sheet.image, [np.stack([x, y], 1).astype(np.int32)], False, (dice.whole(20, 160),) * 3, dice.whole(1, 2), cv2.LINE_AA
        )
    return top + tall + 14


def ledger(sheet: Sheet) -> None:
    """A table with printed heads whose cells are written by hand."""
    (width, height), dice, x = sheet.size, sheet.dice, sheet.hand.x_height_px
    left, right, top = width * 0.06, width * 0.95, height * dice.between(0.08, 0.18)
    pitch, face = x * dice.between(2.8, 3.6), dice.pick(press.BODY)
    press.print_line(sheet.image, dice.pick(TITLES), left, top - pitch * 0.8, dice.whole(18, 30), dice.pick(press.HEADS))
    shares = dice.pick(((0.18, 0.62, 1.0), (0.12, 0.3, 0.8, 1.0), (0.5, 0.75, 1.0), (0.2, 0.4, 0.6, 0.8, 1.0)))
    edges = [left, *(left + (right - left) * s for s in shares)]
    bottom = height * dice.between(0.6, 0.95)
    heads = ("Date", "Item", "Amount", "Remarks", "Quantity", "Name")
    for a in edges:
        press.rule(sheet.image, (a, top), (a, bottom), dice)
    for k, a in enumerate(edges[:-1]):
        press.print_line(sheet.image, heads[(k + dice.whole(0, 1)) % len(heads)], a + 5, top + 16, 13, face)
    y = top + pitch * 1.4
    press.rule(sheet.image, (left, top), (right, top), dice)
    while y < bottom:
        press.rule(sheet.image, (left, y + 3), (right, y + 3), dice)
        for k in range(len(edges) - 1):
            if dice.chance(0.72):
                text = (
                    date(dice) if k == 0 else number(dice) if k == len(edges) - 2 else f"{dice.whole(1, 40)} {dice.pick(GOODS)}"
                )
                sheet.line(text, edges[k] + dice.between(5, 14), y, edges[k + 1] - edges[k] - 16)
        y += pitch


LAYOUTS: dict[str, tuple[Callable[[Sheet], None], float]] = {
    "letter": (letter, 0.36),
    "form": (form, 0.22),
    "printed": (printed, 0.2),
    "note": (note, 0.12),
    "ledger": (ledger, 0.1),
}
"""Kind of document: what draws it, and how often it is drawn."""


def new_sheet(image: np.ndarray, dice: Dice, kind: str, writer: int) -> Sheet:
    """Return an empty sheet with a writer and a pen; letters are as large as people write on such a document."""
    low, high = {"letter": (9, 17), "note": (12, 26), "form": (8, 13), "printed": (8, 15), "ledger": (8, 12)}[kind]
    hand = hand_of(writer, round(dice.between(low, high) * image.shape[1] / 900, 1))
    return Sheet(image, hand, Pen.draw(dice, hand.x_height_px), dice)
