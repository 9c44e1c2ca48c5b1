"""The house stroke font: each character as pen paths in a unit box, the way a plate die is cut.

A path is points `x,y` (x right, y down, both 0..1) parted by spaces; `o` after a point rounds that corner with the
die's radius; `z` closes the path; `|` lifts the pen. `A`, `A.flat`, ... are variants; a die chooses one per character.
Reference for the shapes: what embossed plates look like; no font file was traced.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

PATHS: dict[str, str] = {
    "0": "0,0o 1,0o 1,1o 0,1o z",
    "0.slash": "0,0o 1,0o 1,1o 0,1o z | 0.12,0.8 0.88,0.2",
    "1": "0,0.2 0.8,0 0.8,1",
    "1.hook": "0,0.22 0.75,0.16o 0.95,0 0.95,1",
    "1.tall": "0,0.14 0.5,0 0.5,1 | 0,1 1,1",
    "1.bar": "0.5,0 0.5,1",
    "1.foot": "0.05,0.2 0.5,0 0.5,1 | 0,1 1,1",
    "2": "0,0.26 0,0o 1,0o 1,0.46o 0,0.95 0,1 1,1",
    "2.curl": "0,0.24 0,0o 1,0o 1,0.5o 0,0.62o 0,1 1,1",
    "2.diag": "0,0.24 0,0o 1,0o 1,0.38o 0.02,1 1,1",
    "2.high": "0,0.2 0.02,0o 0.98,0o 0.98,0.3o 0,1 1,1",
    "2.wide": "0.02,0.26 0.02,0o 0.96,0o 0.96,0.34o 0,0.93 0,1 1,1",
    "3": "0,0.23 0,0o 1,0o 1,0.48o 0.4,0.48 | 0.4,0.48 1,0.48o 1,1o 0,1o 0,0.77",
    "3.flat": "0.02,0 0.97,0 0.42,0.4 1,0.42o 1,1o 0,1o 0,0.77",
    "4": "0.76,1 0.76,0 0,0.7 1,0.7",
    "4.low": "0.8,1 0.8,0 0.66,0 0,0.76 1,0.76",
    "4.edge": "0.94,1 0.94,0 0,0.64 0.94,0.64",
    "4.open": "0.1,0 0,0.62 1,0.62 | 0.78,0.3 0.78,1",
    "4.short": "0.6,0 0,0.76 1,0.76 | 0.76,0.42 0.76,1",
    "5": "0.94,0 0.06,0 0.06,0.42 0.95,0.4o 1,1o 0,1o 0,0.77",
    "5.curl": "0.94,0 0.06,0 0.04,0.48 0.2,0.37o 1,0.37o 1,1o 0,1o 0,0.77",
    "6": "1,0.23 1,0o 0,0o 0,1o 1,1o 1,0.43o 0,0.43o 0,0.7",
    "6.slant": "0.74,0 0,0.5o 0,1o 1,1o 1,0.43o 0.06,0.43o 0,0.7",
    "6.short": "0.9,0.03 0.5,0o 0,0.1o 0,1o 1,1o 1,0.43o 0,0.43o 0,0.7",
    "6.sweep": "0.82,0 0.35,0.02o 0,0.45o 0,1o 1,1o 1,0.46o 0,0.46o 0,0.7",
    "7": "0,0 1,0 0.35,1",
    "7.bend": "0,0 1,0 1,0.16o 0.36,0.62o 0.36,1",
    "7.serif": "0,0.14 0,0 1,0 0.4,1",
    "8": "0.05,0o 0.95,0o 0.95,0.47o 0.05,0.47o z | 0,0.47o 1,0.47o 1,1o 0,1o z",
    "9": "0,0.77 0,1o 1,1o 1,0o 0,0o 0,0.57o 1,0.57o 1,0.3",
    "9.slant": "0.26,1 1,0.5o 1,0o 0,0o 0,0.57o 0.94,0.57o 1,0.3",
    "9.short": "0.1,0.97 0.5,1o 1,0.9o 1,0o 0,0o 0,0.57o 1,0.57o 1,0.3",
    "9.sweep": "0.18,1 0.65,0.98o 1,0.55o 1,0o 0,0o 0,0.54o 1,0.54o 1,0.3",
    "A": "0,1 0.5,0 1,1 | 0.18,0.68 0.82,0.68",
    "A.flat": "0,1 0.38,0 0.62,0 1,1 | 0.16,0.68 0.84,0.68",
    "A.low": "0,1 0.47,0 0.53,0 1,1 | 0.12,0.76 0.88,0.76",
    "B": "0,0 0.93,0o 0.93,0.47o 0,0.47 | 0,0.47 1,0.47o 1,1o 0,1 0,0",
    "B.even": "0,0 1,0o 1,0.5o 0.2,0.5 | 0,0.5 1,0.5o 1,1o 0,1 0,0",
    "C": "1,0.26 1,0o 0,0o 0,1o 1,1o 1,0.74",
    "C.open": "1,0.18 1,0o 0,0o 0,1o 1,1o 1,0.82",
    "D": "0,0 1,0o 1,1o 0,1 z",
    "E": "1,0 0,0 0,1 1,1 | 0,0.48 0.8,0.48",
    "F": "1,0 0,0 0,1 | 0,0.5 0.8,0.5",
    "G": "1,0.25 1,0o 0,0o 0,1o 1,1o 1,0.55 0.55,0.55",
    "G.spur": "1,0.24 1,0o 0,0o 0,1o 0.8,1o 1,0.8 1,0.55 0.55,0.55 | 1,0.55 1,1",
    "G.bar": "1,0.22 1,0o 0,0o 0,1o 1,1o 1,0.62 | 0.5,0.6 1,0.6",
    "H": "0,0 0,1 | 1,0 1,1 | 0,0.5 1,0.5",
    "I": "0.5,0 0.5,1 | 0,0 1,0 | 0,1 1,1",
    "I.bar": "0.5,0 0.5,1",
    "J": "1,0 1,1o 0,1o 0,0.7",
    "J.top": "0.45,0 1,0 1,1o 0,1o 0,0.72",
    "J.tee": "0.3,0 1.05,0 | 0.78,0 0.78,1o 0,1o 0,0.72",
    "K": "0,0 0,1 | 1,0 0,0.62 | 0.32,0.42 1,1",
    "K.mid": "0,0 0,1 | 0.95,0 0.08,0.5 1,1",
    "L": "0,0 0,1 1,1",
    "M": "0,1 0,0 0.5,0.6 1,0 1,1",
    "M.deep": "0,1 0,0 0.5,0.97 1,0 1,1",
    "M.high": "0,1 0,0 0.5,0.4 1,0 1,1",
    "M.narrow": "0,1 0,0 0.5,0.55 1,0 1,1",
    "N": "0,1 0,0 1,1 1,0",
    "O": "0,0o 1,0o 1,1o 0,1o z",
    "P": "0,1 0,0 1,0o 1,0.53o 0,0.53",
    "Q": "0,0o 1,0o 1,1o 0,1o z | 0.45,0.68 1.03,1",
    "Q.tail": "0,0o 1,0o 1,0.92o 0,0.92o z | 0.5,0.74 0.98,1.06",
    "Q.cross": "0,0o 1,0o 1,0.97o 0,0.97o z | 0.4,0.62 1,1.03",
    "Q.short": "0,0o 1,0o 1,1o 0,1o z | 0.55,0.76 0.98,1",
    "R": "0,1 0,0 1,0o 1,0.53o 0,0.53 | 0.48,0.53 1,1",
    "R.leg": "0,1 0,0 1,0o 1,0.5o 0,0.5 | 0.4,0.5 0.96,0.52o 1,1",
    "S": "1,0.24 1,0o 0,0o 0,0.46o 1,0.53o 1,1o 0,1o 0,0.76",
    "S.open": "1,0.17 1,0o 0,0o 0,0.43o 1,0.56o 1,1o 0,1o 0,0.83",
    "S.steep": "1,0.2 1,0o 0,0o 0,0.4o 1,0.6o 1,1o 0,1o 0,0.8",
    "S.hook": "0.98,0.3 0.98,0o 0.02,0o 0.02,0.45o 1,0.55o 1,1o 0,1o 0,0.7",
    "T": "0,0 1,0 | 0.5,0 0.5,1",
    "U": "0,0 0,1o 1,1o 1,0",
    "V": "0,0 0.5,1 1,0",
    "V.flat": "0,0 0.44,1 0.56,1 1,0",
    "W": "0,0 0.25,1 0.5,0.25 0.75,1 1,0",
    "W.narrow": "0,0 0.16,1 0.5,0.4 0.84,1 1,0",
    "W.mid": "0,0 0.22,1 0.5,0.45 0.78,1 1,0",
    "W.full": "0,0 0.24,1 0.5,0.02 0.76,1 1,0",
    "W.lean": "0,0 0.1,1 0.5,0.4 0.9,1 1,0",
    "X": "0,0 1,1 | 1,0 0,1",
    "Y": "0,0 0.5,0.5 1,0 | 0.5,0.5 0.5,1",
    "Y.low": "0,0 0.5,0.6 1,0 | 0.5,0.6 0.5,1",
    "Z": "0,0 1,0 0,1 1,1",
}

WIDTHS: dict[str, float] = {
    "1": 0.45, "1.hook": 0.45, "1.bar": 0.0, "1.foot": 0.6, "1.tall": 0.6, "I": 0.58, "I.bar": 0.0, "J": 0.92,
    "M": 1.15, "M.narrow": 0.98, "W": 1.25, "W.narrow": 1.02,
    "4": 1.06, "E": 0.95, "F": 0.95, "L": 0.92, "A": 1.1, "V": 1.08, "Y": 1.06, "X": 1.04, "T": 1.02,
}  # fmt: skip
"""Skeleton width by variant or character, as a share of the die's; 1 where absent."""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def variants_of(char: str) -> list[str]:
    """Return the names in PATHS that draw `char`, the plain one first."""
    return [name for name in PATHS if name == char or name.startswith(char + ".")]


def relative_width(name: str) -> float:
    """Return the skeleton width of a variant as a share of the die's width."""
    return WIDTHS.get(name, WIDTHS.get(name[0], 1.0))


@cache
def parse(name: str) -> tuple[tuple[tuple[tuple[float, float, bool], ...], bool], ...]:
    """Return the strokes of a variant: ((x, y, rounded) points, closed) each."""
    strokes = []
    for path in PATHS[name].split("|"):
        words = path.split()
        closed = words[-1] == "z"
        points = []
        for word in words[:-1] if closed else words:
            x, y = word.rstrip("o").split(",")
            points.append((float(x), float(y), word.endswith("o")))
        strokes.append((tuple(points), closed))
    return tuple(strokes)


def outline(name: str, width_px: float, height_px: float, radius_px: float) -> list[tuple[np.ndarray, bool]]:
    """Return a variant's pen paths as ((N, 2) float pixels, closed), corners filleted by `radius_px`."""
    return [
        (_fillet([(x * width_px, y * height_px, rounded) for x, y, rounded in points], closed, radius_px), closed)
        for points, closed in parse(name)
    ]


def _fillet(points: list[tuple[float, float, bool]], closed: bool, radius: float) -> np.ndarray:
    """Replace each rounded corner by eight points of a curve that is tangent to both of its sides."""
    out: list[tuple[float, float]] = []
    count = len(points)
    for k, (x, y, rounded) in enumerate(points):
        if not rounded or (not closed and k in (0, count - 1)):
            out.append((x, y))
            continue
        entry = _towards((x, y), points[k - 1], radius)
        leave = _towards((x, y), points[(k + 1) % count], radius)
        for step in range(9):
            t = step / 8
            # Between a quadratic and a circle: weight 0.71 on the corner makes a right-angled fillet a true arc.
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t) * 0.7071, t * t
            total = a + b + c
            out.append(((a * entry[0] + b * x + c * leave[0]) / total, (a * entry[1] + b * y + c * leave[1]) / total))
    return np.array(out, np.float32)


def _towards(corner: tuple[float, float], other: tuple[float, float, bool], radius: float) -> tuple[float, float]:
    """Return the point at `radius` from `corner` towards `other`, at most half way where `other` is rounded too."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = math.hypot(dx, dy)
    reach = min(radius, length * (0.5 if other[2] else 0.999))
    share = reach / length if length else 0.0
    return corner[0] + dx * share, corner[1] + dy * share
