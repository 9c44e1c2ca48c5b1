"""The bars of the verdict: where they put an interval, and on which side of its bound."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from glyphyard.core.records import Finding, Verdict
from glyphyard.report.read import RunFiles
from glyphyard.report.results import verdict_of


def drawn(value: float, low: float, high: float, threshold: float, side: str) -> dict[str, float]:
    """Return where the bar has its interval's ends, its dot, its bound and the ends of its track."""
    finding = Finding(f"it {side} {threshold}", "PASS", value, low, high, threshold, 100, "said")
    run = RunFiles(Path("nowhere"), verdict=Verdict("PASS", "suite", [finding], "said", "0" * 64))
    (shown,) = verdict_of(run)["findings"]
    parts = {part.get("class"): part for part in ElementTree.fromstring(str(shown["bar"]))}

    def ends(name: str) -> tuple[float, float]:
        start = float(parts[name].attrib["x"])
        return start, start + float(parts[name].attrib["width"])

    (low_at, high_at), (left, right) = ends("span"), ends("track")
    at = {"value": float(parts["value"].attrib["cx"]), "bound": float(parts["threshold"].attrib["x1"])}
    return at | {"low": low_at, "high": high_at, "left": left, "right": right}


@pytest.mark.parametrize(
    ("value", "low", "high", "threshold", "side"),
    [
        (0.01, -0.026, 0.049, 0.0, ">"),  # a gain that may be a loss
        (-0.05, -0.09, -0.01, 0.0, ">"),
        (-0.005, -0.015, 0.008, 0.02, "<"),  # a cost that may be none
        (0.9, 0.85, 0.93, 0.8, ">"),
        (1.2, 1.1, 1.3, 1.0, "<"),  # a CER
        (1.2, 1.1, 1.3, 1.0, ">"),
    ],
)
def test_an_interval_lies_on_both_sides_of_its_bound_as_it_is(
    value: float, low: float, high: float, threshold: float, side: str
) -> None:
    at = drawn(value, low, high, threshold, side)
    # One scale for all: distances on the track are as the values', and nothing is pushed onto an end of it.
    scale = (at["high"] - at["low"]) / (high - low)
    assert at["value"] - at["low"] == pytest.approx(scale * (value - low), abs=0.05)
    assert at["low"] - at["bound"] == pytest.approx(scale * (low - threshold), abs=0.05)
    assert at["left"] <= at["low"] < at["value"] < at["high"] <= at["right"]
    assert at["left"] <= at["bound"] <= at["right"]


def test_a_gain_about_nothing_can_be_made_out() -> None:
    at = drawn(0.01, -0.026, 0.049, 0.0, ">")
    assert at["bound"] - at["low"] > 10 < at["high"] - at["bound"]
