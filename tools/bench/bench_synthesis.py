"""Synthetic plates: crops drawn in a second of one core's time.

    .venv/bin/python tools/bench/bench_synthesis.py

Process time, not the clock on the wall: a busy machine spoils nothing. The median of the turns counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2

from glyphyard.data.synth import render_plate

CROPS, TURNS, WANTED = 1000, 3, 500
FAMILIES = {"florida": 0.2, "us": 0.2}  # with the difficulty that recipes/florida_crnn.yaml draws at


def rate(family: str, difficulty: float, crops: int) -> float:
    """Return crops per CPU-second of one thread."""
    started = time.process_time()
    for index in range(crops):
        render_plate(1, index, family, difficulty=difficulty)
    return crops / (time.process_time() - started)


def measure(crops: int = CROPS, turns: int = TURNS, say: Callable[[str], None] = print) -> dict[str, float]:
    """Draw each family in turns and return its crops per CPU-second."""
    cv2.setNumThreads(1)
    for family, difficulty in FAMILIES.items():
        rate(family, difficulty, crops // 10)  # fonts and scenes that are made once
    turned = [{family: rate(family, difficulty, crops) for family, difficulty in FAMILIES.items()} for _ in range(turns)]
    rates = {family: statistics.median(turn[family] for turn in turned) for family in FAMILIES}
    for family, found in rates.items():
        say(f"synthesis: {family} {found:.0f} crops a CPU-second at difficulty {FAMILIES[family]} (wanted: {WANTED})")
    return rates


if __name__ == "__main__":
    measure()
