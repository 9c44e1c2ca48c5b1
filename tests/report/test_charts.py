"""Scales and ticks: round, inside, few; and charts that survive odd numbers."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.records import Figure
from glyphyard.report.charts import Bound, Series, bar_chart, heat_map, interval_bar, line_chart
from glyphyard.report.svg import Scale, apart, log_ticks, round_ticks, sampled, short

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(finite, st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_few_and_inside(low: float, span: float, count: int) -> None:
    ticks = round_ticks(low, low + span, count)
    assert len(ticks) <= count + 2
    assert all(low <= t <= low + span for t in ticks)


def test_ticks_that_lie_close_are_told_apart() -> None:
    assert apart([17.45, 17.5, 17.55], short) == ["17.45", "17.5", "17.55"]
    assert apart([0.62601, 0.62602], short) == ["0.62601", "0.62602"]
    assert apart([1.0, 2.0], short) == ["1", "2"]


@given(st.floats(1e-9, 1e6), st.floats(1.5, 1e9))
def test_log_ticks_are_inside(low: float, ratio: float) -> None:
    assert all(low * 0.99 <= t <= low * ratio * 1.01 for t in log_ticks(low, low * ratio))


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(-1e9, 1e9)), max_size=50))
def test_any_line_is_well_formed(points: list[tuple[float, float]]) -> None:
    svg = line_chart("t", [Series("<&>", points, "s1")], mark=3, may_be_log=True)
    if points:
        ElementTree.fromstring(str(svg))
    assert "nan" not in svg


@given(*[st.none() | st.floats(0, 3)] * 3, st.none() | st.floats(0, 2))
def test_any_interval_is_well_formed(value: float | None, low: float | None, high: float | None, bound: float | None) -> None:
    drawn = interval_bar(Figure(value, low, high, 3), bound=Bound(bound, True) if bound is not None else None, labels=True)
    ElementTree.fromstring(str(drawn))


def test_text_in_charts_is_escaped() -> None:
    drawn = str(heat_map(["<", '"'], ["&"], {("<", "&"): 3, ('"', "&"): 12000}, {"<": 7})) + str(
        bar_chart("<b>", [("<i>", 3)], "x")
    )
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    ElementTree.fromstring(f"<x>{drawn}</x>")


def test_numbers_are_short() -> None:
    assert [short(v) for v in (0, 1, 0.25, 1200, 2_500_000, 0.0004)] == ["0", "1", "0.25", "1.2k", "2.5M", "4e-4"]
    assert Scale(0, 10, 0, 100)(2.5) == 25
    assert Scale(3, 3, 0, 100)(3) == 50
    kept = sampled([(float(i), 0.0) for i in range(10_001)])
    assert len(kept) <= 402
    assert kept[-1][0] == 10_000
