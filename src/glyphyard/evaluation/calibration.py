"""Whether a confidence can be believed, and what is gained by leaving unsure readings to a person."""

from __future__ import annotations

import numpy as np

# Narrow where plates are: a good reader is above 0.9 nearly always.
EDGES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
CURVE_POINTS = 200


def calibration_bins(confidence: np.ndarray, exact: np.ndarray) -> list[dict[str, float]]:
    """Return, for each non-empty bin of confidence, its edges, count, mean confidence and share read exactly."""
    at = np.clip(np.searchsorted(EDGES, confidence, side="right") - 1, 0, len(EDGES) - 2)
    bins = []
    for i in np.unique(at):
        here = at == i
        means = {"confidence": float(confidence[here].mean()), "exact_match": float(exact[here].mean())}
        bins.append({"low": EDGES[i], "high": EDGES[i + 1], "count": float(here.sum())} | means)
    return bins


def full_reject_curve(confidence: np.ndarray, exact: np.ndarray) -> list[dict[str, float]]:
    """Return one point for each threshold that changes anything: accept what is at least as sure, in falling order."""
    sure, right, ends = _accepted(confidence, exact)
    return _points(sure, right, ends)


def reject_curve(confidence: np.ndarray, exact: np.ndarray) -> list[dict[str, float]]:
    """Return the curve thinned to at most `CURVE_POINTS` points, the first and the last among them."""
    sure, right, ends = _accepted(confidence, exact)
    keep = np.unique(np.linspace(0, len(ends) - 1, min(CURVE_POINTS, len(ends))).round().astype(int))
    return _points(sure, right, ends[keep])


def coverage_at(precision: float, confidence: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest share of samples that can be read with at least this precision (0 if no threshold gives it)."""
    sure, right, ends = _accepted(confidence, exact)
    good = ends[right[ends] / (ends + 1) >= precision]
    return float((good[-1] + 1) / len(sure)) if len(good) else 0.0


def _accepted(confidence: np.ndarray, exact: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return confidences in falling order, how many are right up to each, and the places where a threshold can stand."""
    order = np.argsort(-confidence, kind="stable")
    sure, right = confidence[order], np.cumsum(exact[order])
    # A threshold accepts all readings that are equally sure, or none of them.
    ends = np.flatnonzero(np.r_[sure[1:] != sure[:-1], True]) if len(sure) else np.array([], dtype=int)
    return sure, right, ends


def _points(sure: np.ndarray, right: np.ndarray, at: np.ndarray) -> list[dict[str, float]]:
    return [
        {
            "threshold": float(sure[i]),
            "coverage": float((i + 1) / len(sure)),
            "precision": float(right[i] / (i + 1)),
            "count": float(i + 1),
        }
        for i in at
    ]
