"""The reject curve against its definition, sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.evaluation.calibration import CURVE_POINTS, calibration_bins, coverage_at, full_reject_curve, reject_curve

READINGS = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.7, 0.9, 0.99, 1.0]), st.booleans()), min_size=1, max_size=40)


def columns(readings: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([c for c, _ in readings]), np.array([e for _, e in readings])


@given(READINGS)
def test_each_point_accepts_what_is_at_least_as_sure(readings: list[tuple[float, bool]]) -> None:
    curve = full_reject_curve(*columns(readings))
    assert [point["threshold"] for point in curve] == sorted({c for c, _ in readings}, reverse=True)
    for point in curve:
        accepted = [exact for confidence, exact in readings if confidence >= point["threshold"]]
        assert point["count"] == len(accepted)
        assert point["coverage"] == pytest.approx(len(accepted) / len(readings))
        assert point["precision"] == pytest.approx(sum(accepted) / len(accepted))


@given(READINGS, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_coverage_is_the_best_that_any_threshold_gives(readings: list[tuple[float, bool]], precision: float) -> None:
    best = 0.0
    for threshold in {c for c, _ in readings}:
        accepted = [exact for confidence, exact in readings if confidence >= threshold]
        if sum(accepted) / len(accepted) >= precision:
            best = max(best, len(accepted) / len(readings))
    assert coverage_at(precision, *columns(readings)) == pytest.approx(best)


@given(READINGS)
def test_the_bins_hold_every_sample_once(readings: list[tuple[float, bool]]) -> None:
    bins = calibration_bins(*columns(readings))
    assert sum(b["count"] for b in bins) == len(readings)
    assert all(b["low"] - 1e-9 <= b["confidence"] <= b["high"] + 1e-9 for b in bins)
    assert sum(b["count"] * b["exact_match"] for b in bins) == pytest.approx(sum(e for _, e in readings))


def test_a_long_curve_is_thinned_but_keeps_its_ends() -> None:
    confidence = np.linspace(0, 1, 5000)
    curve = reject_curve(confidence, confidence > 0.3)
    assert len(curve) <= CURVE_POINTS
    assert curve[0]["threshold"] == 1
    assert curve[-1]["coverage"] == 1


def test_nothing_gives_an_empty_curve() -> None:
    none = np.array([])
    assert reject_curve(none, none) == []
    assert calibration_bins(none, none) == []
    assert coverage_at(0.99, none, none) == 0
