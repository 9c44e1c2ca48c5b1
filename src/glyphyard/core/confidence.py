"""What a confidence is worth: a curve fitted to held-out readings, so that of those that say 0.9 nine in ten are right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from glyphyard.core.ctc import Reading
from glyphyard.core.records import Record

LEAST_ROWS = 50  # fewer readings say nothing about the ones to come
LEAST_OF_A_KIND = 5  # right ones and wrong ones
EDGE = 1e-6  # confidences closer than this to 0 and 1 are equal to it
NEWTON_STEPS = 50


@dataclass(frozen=True)
class Calibration(Record):
    """A logistic curve over a confidence's log-odds (Platt, 1999): `slope` > 0 keeps the order; `rows` it was fitted on."""

    slope: float
    offset: float
    rows: int

    def of(self, confidence: float) -> float:
        """Return the share of readings with this raw confidence that are right."""
        score = self.slope * _log_odds(confidence) + self.offset
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, score))))

    def calibrated(self, readings: list[Reading]) -> list[Reading]:
        """Return the readings with calibrated confidences of their texts; their characters' stay as the network gave them."""
        return [Reading(r.text, self.of(r.confidence), r.character_confidences) for r in readings]


def fit_calibration(confidence: np.ndarray, exact: np.ndarray) -> Calibration | None:
    """Fit a curve to N raw confidences and whether each reading was right; None where they cannot tell.

    They cannot where they are few, nearly all right or nearly all wrong, or where surer readings are no better.
    """
    exact = np.asarray(exact, dtype=bool)
    right, wrong = int(exact.sum()), int((~exact).sum())
    if right + wrong < LEAST_ROWS or min(right, wrong) < LEAST_OF_A_KIND:
        return None
    odds = np.array([_log_odds(float(c)) for c in confidence])
    # Platt's targets: a few more of each kind than were seen, so that no curve is steeper than the rows can prove.
    wanted = np.where(exact, (right + 1) / (right + 2), 1 / (wrong + 2))
    slope, offset = _newton(odds, wanted)
    return Calibration(slope, offset, len(odds)) if slope > 0 else None


def _newton(odds: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    design = np.stack([odds, np.ones_like(odds)])
    weights = np.zeros(2)
    for _ in range(NEWTON_STEPS):
        found = 1 / (1 + np.exp(-np.clip(weights @ design, -50, 50)))
        curvature = (design * (found * (1 - found))) @ design.T + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, design @ (wanted - found))
        weights = weights + np.clip(step, -2, 2)  # a full step overshoots where the curve is still flat
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def _log_odds(confidence: float) -> float:
    inside = min(max(confidence, EDGE), 1 - EDGE)
    return math.log(inside / (1 - inside))


def calibration_error(confidence: np.ndarray, exact: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error: |mean confidence − share right| over bins of equal count, weighted by count."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [len(part) * abs(float(np.mean(confidence[part]) - np.mean(exact[part]))) for part in parts]
    return sum(gaps) / len(order)
