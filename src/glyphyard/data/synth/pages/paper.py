"""What a page is on and what happens to it: paper, rules, stains, the other side's ink, shadows, and the camera or scanner.

All textures come from small banks that are made once; a page costs a handful of passes over its pixels.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.pages.ink import blend

TINTS = ((250, 252, 253), (240, 246, 250), (225, 238, 246), (215, 232, 244), (235, 240, 238), (200, 220, 238), (245, 243, 240))


def blank(width: int, height: int, dice: Dice) -> np.ndarray:
    """Return an empty sheet (H,W,3) BGR uint8: a tint, uneven, with fibres."""
    tint = np.array(dice.pick(TINTS), np.float32) - dice.between(0, 12)
    clouds = cv2.resize(_cloud(dice.whole(0, 15)), (width, height), interpolation=cv2.INTER_LINEAR)
    level = 1 + clouds * dice.between(0.004, 0.05)
    top, left = dice.whole(0, 255), dice.whole(0, 255)
    fibres = np.tile(_fibres(), (height // 512 + 2, width // 512 + 2))[top : top + height, left : left + width]
    grey = level * (1 + fibres * dice.between(0.002, 0.014))
    return np.clip(cv2.merge([grey * t for t in tint]), 0, 255).astype(np.uint8)


def rule_lines(page: np.ndarray, dice: Dice, first_px: float, pitch_px: float) -> None:
    """Print the lines of writing paper, or a grid, with a margin rule at times, in place."""
    height, width = page.shape[:2]
    colour = dice.pick(((200, 170, 140), (190, 190, 190), (210, 190, 160), (170, 180, 215)))
    ink = np.zeros((height, width), np.uint8)
    for y in np.arange(first_px % pitch_px if dice.chance(0.3) else first_px, height - 10, pitch_px):
        cv2.line(ink, (0, int(y * 8)), (width * 8, int(y * 8)), 255, 1, cv2.LINE_AA, 3)
    if dice.chance(0.2):
        for x in np.arange(dice.between(0, pitch_px), width, pitch_px):
            cv2.line(ink, (int(x * 8), 0), (int(x * 8), height * 8), 255, 1, cv2.LINE_AA, 3)
    blend(page, ink, colour, dice.between(0.3, 0.85))
    if dice.chance(0.45):
        x = int(width * dice.between(0.07, 0.14))
        cv2.line(page, (x, 0), (x, height), dice.pick(((150, 140, 225), (190, 170, 150))), 1)


def stain(page: np.ndarray, dice: Dice) -> None:
    """Leave a cup's ring, a spot, foxing or a fold on the page, in place."""
    height, width = page.shape[:2]
    kind = dice.pick(("ring", "spot", "foxing", "fold"))
    ink: np.ndarray = np.zeros((height, width), np.uint8)
    brown = (dice.whole(50, 110), dice.whole(90, 140), dice.whole(130, 180))
    x, y = dice.whole(0, width), dice.whole(0, height)
    if kind == "ring":
        radius = int(width * dice.between(0.06, 0.13))
        start = dice.whole(0, 360)
        for k in range(3):
            cv2.ellipse(
                ink, (x, y), (radius + k, radius + 2 * k), 0, start, start + dice.whole(150, 360), 150 + 50 * k, dice.whole(2, 6)
            )
        ink = cv2.GaussianBlur(ink, (0, 0), dice.between(0.8, 2.5))
        blend(page, ink, brown, dice.between(0.15, 0.5))
    elif kind == "spot":
        for _ in range(dice.whole(1, 5)):
            centre = (x + int(dice.gauss(0, width * 0.05)), y + int(dice.gauss(0, width * 0.05)))
            axes = (dice.whole(3, width // 18), dice.whole(3, width // 18))
            cv2.ellipse(ink, centre, axes, dice.whole(0, 180), 0, 360, dice.whole(80, 255), -1)
        blend(page, cv2.GaussianBlur(ink, (0, 0), dice.between(1, 6)), brown, dice.between(0.1, 0.5))
    elif kind == "foxing":
        for _ in range(dice.whole(20, 90)):
            cv2.circle(ink, (dice.whole(0, width), dice.whole(0, height)), dice.whole(1, 5), dice.whole(60, 220), -1)
        blend(page, cv2.GaussianBlur(ink, (0, 0), 1.2), brown, dice.between(0.15, 0.45))
    else:
        across = dice.chance(0.6)
        at = int((height if across else width) * dice.pick((0.33, 0.5, 0.67)) + dice.gauss(0, 5))
        ends = ((0, at), (width, at + dice.whole(-6, 6))) if across else ((at, 0), (at + dice.whole(-6, 6), height))
        cv2.line(ink, ends[0], ends[1], 255, dice.whole(1, 3), cv2.LINE_AA)
        blend(page, cv2.GaussianBlur(ink, (0, 0), 1.5), (130, 140, 150), dice.between(0.2, 0.5))
        cv2.line(page, (ends[0][0] + 2, ends[0][1] + 2), (ends[1][0] + 2, ends[1][1] + 2), (252, 252, 252), 1, cv2.LINE_AA)


def bleed_through(page: np.ndarray, other_HW: np.ndarray, dice: Dice) -> None:
    """Let the ink of the other side (H,W) uint8 shine through, mirrored and faint, in place."""
    seen = cv2.GaussianBlur(cv2.flip(other_HW, 1), (0, 0), dice.between(0.8, 1.8))
    blend(page, seen, (120, 125, 135), dice.between(0.06, 0.2))


def shadow(page: np.ndarray, dice: Dice) -> None:
    """Light the page unevenly: a falling off, the edge of a hand or a phone, a book's fold; in place."""
    height, width = page.shape[:2]
    w, h = 64, 88
    x, y = np.meshgrid(np.linspace(-1, 1, w, dtype=np.float32), np.linspace(-1, 1, h, dtype=np.float32))
    turn = dice.between(0, 6.28)
    along = x * np.cos(turn) + y * np.sin(turn)
    light = 1 - dice.between(0.05, 0.3) * (along + 1) / 2
    if dice.chance(0.45):  # a soft edge
        light *= 1 - dice.between(0.1, 0.38) / (1 + np.exp(-(along - dice.between(-0.5, 0.7)) * dice.between(4, 30)))
    if dice.chance(0.2):  # the fold of a book
        edge = 1 if dice.chance(0.5) else -1
        light *= 1 - dice.between(0.2, 0.5) * np.exp(-((x - edge) ** 2) / dice.between(0.01, 0.08))
    light += 0.03 * cv2.resize(_cloud(dice.whole(0, 15)), (w, h))
    full = cv2.resize(light.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    page[...] = np.clip(page * full[..., None], 0, 255).astype(np.uint8)


def view(page: np.ndarray, dice: Dice, difficulty: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn and tilt the page a little, on a desk that shows at its edges; return the picture and the 3x3 homography."""
    height, width = page.shape[:2]
    angle = np.deg2rad(dice.gauss(0, 1.1 * difficulty))
    photo = dice.chance(0.45 * difficulty)
    shrink = dice.between(0.9, 0.99) if photo else 1.0
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    middle = corners.mean(0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32)
    moved = (corners - middle) @ turn.T * shrink + middle
    if photo:
        moved += np.array([[dice.gauss(0, 0.012) * width, dice.gauss(0, 0.012) * height] for _ in corners], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    desk = dice.pick(((60, 75, 95), (40, 40, 42), (150, 155, 160), (90, 110, 140), (245, 245, 245)))
    # A scanner's lid is white: the sheet's own tint, nearly.
    border = desk if photo else tuple(int(v) for v in page[:8, :8].reshape(-1, 3).mean(0))
    seen = cv2.warpPerspective(page, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=border)
    return seen, matrix


def lens_and_file(page: np.ndarray, dice: Dice, difficulty: float) -> np.ndarray:
    """Blur, noise, contrast and a scanner's grey, as much as `difficulty` says."""
    if dice.chance(0.5 * difficulty):
        page = cv2.GaussianBlur(page, (0, 0), dice.between(0.35, 1.1))
    if dice.chance(0.25):  # a grey scan
        page = cv2.cvtColor(cv2.cvtColor(page, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if dice.chance(0.3 * difficulty):  # of an office machine: near black and white
            steep = dice.between(1.3, 2.0)
            paper = float(np.median(page[::16, ::16]))  # stays where it is, so that faint ink darkens and does not vanish
            page = np.clip(page.astype(np.float32) * steep + (246 - steep * paper), 0, 255).astype(np.uint8)
    elif dice.chance(0.5):  # the camera's white balance
        gains = np.array([1 + dice.gauss(0, 0.04 * difficulty) for _ in range(3)], np.float32)
        page = np.clip(page * gains, 0, 255).astype(np.uint8)
    if dice.chance(0.6 * difficulty):
        strength = dice.between(1.0, 7.0)
        top, left = dice.whole(0, 300), dice.whole(0, 300)
        noise = np.tile(_noise(), (page.shape[0] // 512 + 2, page.shape[1] // 512 + 2, 1))
        noise = noise[top : top + page.shape[0], left : left + page.shape[1]]
        page = cv2.addWeighted(page, 1.0, noise, strength / 32, -128 * strength / 32)
    return page


@lru_cache(maxsize=16)
def _cloud(number: int) -> np.ndarray:
    """Return a coarse (H,W) float32 picture in about −1..1."""
    random = np.random.default_rng(100 + number)
    coarse = random.normal(size=(3 + number % 5, 3 + number % 4)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (48, 64), interpolation=cv2.INTER_CUBIC), -2, 2) / 2


@lru_cache(maxsize=1)
def _fibres() -> np.ndarray:
    """Return (512,512) float32, standard deviation about 1: the paper's own texture."""
    random = np.random.default_rng(12)
    fine = random.normal(size=(512, 512)).astype(np.float32)
    soft = cv2.GaussianBlur(fine, (0, 0), 1.6)
    return fine * 0.5 + soft / soft.std()


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """Return (512,512,3) uint8 around 128 with a standard deviation of 32 grey levels: a sensor's noise."""
    random = np.random.default_rng(13)
    shared, own = random.normal(size=(512, 512, 1)), random.normal(size=(512, 512, 3))
    return np.clip(128 + 32 * (0.8 * shared + 0.6 * own), 0, 255).astype(np.uint8)
