"""A writer: how one person bends, slants, joins and spaces the house hand, and the strokes of a line that this makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.pages.letters import PATHS, TALL_FROM, paths_of

STEPS = 5  # points of the curve between two of its knots
_T = np.arange(STEPS)[:, None] / STEPS
# Catmull-Rom: weights of the four knots around a piece of the curve.
_WEIGHTS = 0.5 * np.hstack([-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, -(_T**2) + _T**3])


@dataclass(frozen=True)
class Hand:
    """One person's hand; lengths are shares of the height of an x, which is `x_height_px`."""

    seed: int
    x_height_px: float
    slant: float
    width: float
    ascender: float
    descender: float
    joined: float
    spacing: float
    gap: float
    wobble: float
    jitter: float
    bend: float
    haste: float  # how much of a letter's height a hurried word loses towards its end
    slope: float  # how lines rise
    capitals: bool

    @classmethod
    def draw(cls, dice: Dice, x_height_px: float) -> Hand:
        """Draw a person."""
        cursive = dice.chance(0.72)
        return cls(
            seed=dice.getrandbits(48),
            x_height_px=x_height_px,
            slant=dice.gauss(0.36, 0.26) if cursive else dice.gauss(0.06, 0.12),
            width=dice.between(0.75, 1.3) if dice.chance(0.7) else dice.between(1.2, 1.9),
            ascender=dice.between(0.65, 1.35) if dice.chance(0.7) else dice.between(1.2, 2.0),
            descender=dice.between(0.6, 1.3) if dice.chance(0.75) else dice.between(1.2, 1.8),
            joined=dice.between(0.75, 1.0) if cursive else dice.between(0.0, 0.35),
            spacing=dice.between(-0.08, 0.12) if cursive else dice.between(0.05, 0.28),
            gap=dice.between(0.65, 1.25) if dice.chance(0.75) else dice.between(1.2, 2.6),
            wobble=dice.between(0.02, 0.16),
            jitter=dice.between(0.012, 0.05),
            bend=dice.between(0.03, 0.085),
            haste=dice.between(0.0, 0.15) if dice.chance(0.6) else dice.between(0.15, 0.5),
            slope=dice.gauss(0, 0.012) if dice.chance(0.7) else dice.gauss(0, 0.04),
            capitals=dice.chance(0.08),
        )

    @cached_property
    def letters(self) -> dict[str, tuple[np.ndarray, ...]]:
        """The writer's own letters: the house hand's, each bent once."""
        random = np.random.default_rng(self.seed)
        own = {}
        for char in PATHS:
            stretch = random.normal(1, 0.06, 2)
            own[char] = tuple(self._own(path * stretch + random.normal(0, self.bend, path.shape)) for path in paths_of(char))
        return own

    def _own(self, path: np.ndarray) -> np.ndarray:
        x, y = path[:, 0] * self.width, path[:, 1].copy()
        y = np.where(y > TALL_FROM, TALL_FROM + (y - TALL_FROM) * self.ascender, np.where(y < 0, y * self.descender, y))
        return np.stack([x, y], axis=1)


def write(hand: Hand, text: str, left: float, base: float, dice: Dice, most_px: float = 1e9) -> tuple[list[np.ndarray], str]:
    """Return the strokes of a line, (P,2) float32 page pixels each, and the words that fitted into `most_px`.

    The line starts at `left` on the base line `base`; a character that the hand does not know leaves a gap.
    """
    random = np.random.default_rng(dice.getrandbits(48))
    chains: list[np.ndarray] = []
    written: list[str] = []
    cursor, limit = 0.0, most_px / hand.x_height_px
    for word in (text.upper() if hand.capitals else text).split():
        made, after = _word(hand, word, cursor, random)
        if after > limit and written:
            break
        chains += made
        written.append(word)
        cursor = after + hand.gap * random.normal(1, 0.18)
    if not chains:
        return [], ""
    return _lay(hand, chains, left, base, random), " ".join(written)


def _word(hand: Hand, word: str, cursor: float, random: np.random.Generator) -> tuple[list[np.ndarray], float]:
    """Return the knots of a word's pen paths and where the next one may start; letters that join are one path."""
    made: list[np.ndarray] = []
    open_path: list[np.ndarray] = []
    for k, char in enumerate(word):
        paths = hand.letters.get(char, ())
        if not paths:
            cursor += 0.4
            continue
        size, lift = random.normal(1, hand.jitter * 1.6), random.normal(0, hand.jitter)
        flat = 1 - hand.haste * min(k / 5, 1) * (char.islower() and random.random())
        moved = [p * [size, size * flat] + random.normal(0, hand.jitter, p.shape) + [cursor, lift] for p in paths]
        joins = char.islower() and random.random() < hand.joined
        if open_path and joins:
            open_path.append(moved[0])
        else:
            if open_path:
                made.append(np.vstack(open_path))
            open_path = [moved[0]]
        if not char.islower():
            made.append(np.vstack(open_path))
            open_path = []
        made += moved[1:]
        if char.islower():
            cursor = max(float(moved[0][-1, 0]), max(float(p[:, 0].max()) for p in moved) - 0.15) + hand.spacing
        else:  # what stands alone keeps its distance
            cursor = max(float(p[:, 0].max()) for p in moved) + 0.16 + abs(hand.spacing)
    if open_path:
        made.append(np.vstack(open_path))
    return made, cursor


def _lay(hand: Hand, chains: list[np.ndarray], left: float, base: float, random: np.random.Generator) -> list[np.ndarray]:
    """Bend knots into curves, slant them, let the base line wander, and bring them to page pixels."""
    phase, slope = random.uniform(0, 6.28, 2), hand.slope + random.normal(0, 0.006)
    strokes = []
    for chain in chains:
        x, y = curve(chain).T
        wander = hand.wobble * (np.sin(x * 0.21 + phase[0]) + 0.5 * np.sin(x * 0.53 + phase[1])) + slope * x
        px, py = left + (x + hand.slant * y) * hand.x_height_px, base - (y + wander) * hand.x_height_px
        strokes.append(np.stack([px, py], axis=1).astype(np.float32))
    return strokes


def curve(knots_P2: np.ndarray) -> np.ndarray:
    """Return a smooth curve through the knots (Catmull and Rom, 1974)."""
    if len(knots_P2) < 3:
        return knots_P2
    padded = np.vstack([2 * knots_P2[0] - knots_P2[1], knots_P2, 2 * knots_P2[-1] - knots_P2[-2]])
    around = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]])  # (4, pieces, 2)
    return np.vstack([np.einsum("sk,kpc->psc", _WEIGHTS, around).reshape(-1, 2), knots_P2[-1:]])


def signature(hand: Hand, left: float, base: float, width_px: float, dice: Dice) -> list[np.ndarray]:
    """Return a scribble such as people sign with: loops that lose height, and a line below."""
    loops = dice.whole(4, 9)
    knots = [(0.0, dice.between(-0.3, 0.5))]
    for k in range(loops):
        height = dice.between(0.4, 2.6) * (1 - 0.5 * k / loops)
        x = k / loops
        knots += [(x + 0.05, height), (x + 0.02, height * 0.5), (x + 0.1, dice.between(-0.5, 0.2))]
    knots += [(1.1, dice.between(0, 0.4))]
    points = curve(np.array(knots))
    tall = hand.x_height_px * dice.between(1.0, 1.6)
    strokes = [
        np.stack([left + points[:, 0] * width_px + hand.slant * points[:, 1] * tall, base - points[:, 1] * tall], 1).astype(
            np.float32
        )
    ]
    if dice.chance(0.5):
        sweep = curve(np.array([(0.05, -0.5), (0.5, -0.8), (1.15, -0.4)]))
        strokes.append(np.stack([left + sweep[:, 0] * width_px, base - sweep[:, 1] * tall], 1).astype(np.float32))
    return strokes


WRITERS = 4096


def writer_of(seed: int, index: int) -> int:
    """Return who wrote the page (seed, index): a number of one of WRITERS people, so that splits can keep them apart."""
    return Dice.of("writer", seed, index).whole(0, WRITERS - 1)


@lru_cache(maxsize=64)
def hand_of(writer: int, x_height_px: float) -> Hand:
    """Return the hand of a writer; the same one in every process."""
    return Hand.draw(Dice.of("hand", writer), x_height_px)
