"""A calibrated confidence is closer to how often readings are right, keeps their order, and is not made up from a few rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.confidence import Calibration, calibration_error, fit_calibration
from glyphyard.core.ctc import Reading

Confident = tuple[np.ndarray, np.ndarray]


def overconfident(count: int, seed: int) -> Confident:
    """Readings that say more than they hold: right with the cube of their confidence."""
    dice = np.random.default_rng(seed)
    confidence = dice.uniform(0.2, 1.0, count)
    return confidence, dice.random(count) < confidence**3


def test_the_error_falls_on_readings_that_were_not_fitted() -> None:
    found = fit_calibration(*overconfident(400, seed=1))
    assert found is not None
    assert found.rows == 400
    confidence, exact = overconfident(4000, seed=2)
    before = calibration_error(confidence, exact)
    after = calibration_error(np.array([found.of(float(c)) for c in confidence]), exact)
    assert before > 0.2
    assert after < before / 4


@pytest.mark.parametrize(
    ("confidence", "exact"),
    [
        (np.full(40, 0.9), np.arange(40) % 2 == 0),
        (np.linspace(0.1, 1, 200), np.ones(200, bool)),
        (np.linspace(0.1, 1, 200), np.zeros(200, bool)),
        (np.linspace(0.1, 1, 200), np.linspace(0.1, 1, 200) < 0.5),
    ],
    ids=["few", "all right", "all wrong", "the surer the worse"],
)
def test_rows_that_cannot_tell_fit_nothing(confidence: np.ndarray, exact: np.ndarray) -> None:
    assert fit_calibration(confidence, exact) is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 20), st.floats(-10, 10))
def test_the_order_stays_and_so_does_the_range(a: float, b: float, slope: float, offset: float) -> None:
    curve = Calibration(slope, offset, 100)
    low, high = curve.of(min(a, b)), curve.of(max(a, b))
    assert 0 <= low <= high <= 1


def test_a_text_is_calibrated_and_its_characters_are_not() -> None:
    reading = Reading("AB", 0.72, (0.9, 0.8))
    (found,) = Calibration(1.0, -1.0, 100).calibrated([reading])
    assert (found.text, found.character_confidences) == ("AB", (0.9, 0.8))
    assert found.confidence < 0.72


def test_certain_readings_do_not_break_the_fit() -> None:
    confidence = np.r_[np.ones(150), np.zeros(50), np.full(100, 0.5)]
    exact = np.r_[np.ones(150), np.zeros(50), np.arange(100) % 2].astype(bool)
    found = fit_calibration(confidence, exact)
    assert found is not None
    assert found.of(1.0) > 0.9 > 0.6 > found.of(0.5) > 0.4 > found.of(0.0)
