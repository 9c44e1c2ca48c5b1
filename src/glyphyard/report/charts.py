"""The report's charts: lines, bars, interval bars, a heat map and a calibration diagram."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from glyphyard.core.records import Figure
from glyphyard.report.svg import Format, Scale, apart, element, line, percent, picture, sampled, short, text

WIDTH, HEIGHT = 440.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 12.0, 14.0, 40.0
MOST_DOTS = 40


@dataclass(frozen=True)
class Bound:
    """A threshold and the side of it that passes."""

    value: float
    above: bool


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name, its points (x, y) and the style sheet's colour class, s1 to s4."""

    name: str
    points: list[tuple[float, float]]
    colour: str


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    form: Format = short,
    x_label: str = "epoch",
    x_form: Format = short,
    mark: float | None = None,
    may_be_log: bool = False,
) -> Markup:
    """Draw lines over a common x axis; `mark` is a vertical line (best epoch); `may_be_log`: where y spans more than 30 to 1."""
    points = [p for s in series for p in s.points]
    if not points:
        return Markup("")
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    log = may_be_log and min(ys) > 0 and max(ys) / min(ys) > 30
    low, high = _padded(min(ys), max(ys), log)
    x, y = Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT), Scale(low, high, HEIGHT - BOTTOM, TOP, log)
    parts = [*_y_axis(y, form), *_x_axis(x, x_label + (" · log scale" if log else ""), x_form)]
    if mark is not None and min(xs) <= mark <= max(xs):
        parts += [line(x(mark), TOP, x(mark), HEIGHT - BOTTOM, "mark"), _mark_label(x, mark, x_label)]
    for one in series:
        parts += _one_line(one, x, y, form, x_label)
    return picture(WIDTH, HEIGHT, f"{title} by {x_label}", *parts)


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        return low / 1.15, high * 1.15
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (0.0 if low >= 0 and low - pad < 0 else low - pad), high + pad


def _y_axis(y: Scale, form: Format) -> list[Markup]:
    parts = []
    values = y.ticks(5)
    for value, label in zip(values, apart(values, form), strict=True):
        parts += [line(LEFT, y(value), WIDTH - RIGHT, y(value), "gridline"), text(LEFT - 6, y(value) + 4, label, "end")]
    return parts


def _x_axis(x: Scale, label: str, form: Format = short) -> list[Markup]:
    parts = [line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")]
    whole = form is short and x.high - x.low >= 1
    for value in x.ticks(8):
        if not whole or value == int(value):
            parts.append(text(x(value), HEIGHT - BOTTOM + 15, form(value), "middle"))
    return [*parts, text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, label, "middle", "label")]


def _mark_label(x: Scale, mark: float, x_label: str) -> Markup:
    left = x(mark) > WIDTH * 0.7
    return text(x(mark) + (-5 if left else 5), TOP + 9, f"best: {x_label} {short(mark)}", "end" if left else "start")


def _one_line(series: Series, x: Scale, y: Scale, form: Format, x_label: str) -> list[Markup]:
    kept = sampled(series.points)
    path = " ".join(f"{'L' if i else 'M'}{x(a):.1f} {y(b):.1f}" for i, (a, b) in enumerate(kept))
    parts = [element("path", d=path, class_=f"line {series.colour}")]
    if len(kept) <= MOST_DOTS:
        for a, b in kept:
            hover = element("title", f"{series.name}, {x_label} {short(a)}: {form(b)}")
            parts.append(element("circle", hover, cx=x(a), cy=y(b), r=2.6, class_=f"dot {series.colour}"))
    return parts


def bar_chart(title: str, bars: Sequence[tuple[str, float]], x_label: str, form: Format = short) -> Markup:
    """Draw one bar for each (name, value), values from zero."""
    if not bars:
        return Markup("")
    y = Scale(0, max(v for _, v in bars) * 1.05 or 1, HEIGHT - BOTTOM, TOP)
    slot = (WIDTH - LEFT - RIGHT) / len(bars)
    width = min(slot * 0.78, 36.0)
    every = max(1, math.ceil(max(len(name) for name, _ in bars) * 7.5 / slot))
    parts = [*_y_axis(y, form), line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")]
    for i, (name, value) in enumerate(bars):
        middle = LEFT + slot * (i + 0.5)
        hover = element("title", f"{name}: {value:,.0f}")
        top = min(y(value), HEIGHT - BOTTOM - (1 if value else 0))
        parts.append(
            element("rect", hover, x=middle - width / 2, y=top, width=width, height=HEIGHT - BOTTOM - top, rx=1.5, class_="bar")
        )
        if i % every == 0:
            parts.append(text(middle, HEIGHT - BOTTOM + 15, name, "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle", "label"))
    return picture(WIDTH, HEIGHT, title, *parts)


def interval_bar(
    figure: Figure, *, domain: tuple[float, float] = (0.0, 1.0), bound: Bound | None = None, labels: bool = False
) -> Markup:
    """Draw a value with its interval on a track from domain's low to high; the side of the bound that passes is shaded."""
    width, height, middle = 220.0, 36.0 if labels else 22.0, 11.0
    x = Scale(*domain, 4.0, width - 4.0)

    def at(value: float) -> float:
        return min(max(x(value), 4.0), width - 4.0)

    def bar(low: float, high: float, thick: float, class_: str) -> Markup:
        return element("rect", x=low, y=middle - thick / 2, width=max(high - low, 1.5), height=thick, rx=thick / 2, class_=class_)

    parts, said = [bar(4.0, width - 4.0, 8.0, "track")], percent(figure.value) if figure.value is not None else "no value"
    if bound:
        parts.append(bar(at(bound.value), width - 4.0, 8.0, "good") if bound.above else bar(4.0, at(bound.value), 8.0, "good"))
        parts.append(line(at(bound.value), 1, at(bound.value), 21, "threshold"))
    if figure.low is not None and figure.high is not None:
        parts.append(bar(at(figure.low), at(figure.high), 5.0, "span"))
        said += f", interval {percent(figure.low)} to {percent(figure.high)}"
    if figure.value is not None:
        parts.append(element("circle", cx=at(figure.value), cy=middle, r=4.5, class_="value"))
    if labels:
        ends = [(domain[0], "start", 2.0), (domain[1], "end", width - 2)]
        parts += [
            text(place, 33, percent(v), anchor) for v, anchor, place in ends if not bound or abs(at(v) - at(bound.value)) > 46
        ]
        parts += [text(min(max(at(bound.value), 16), width - 16), 33, percent(bound.value), "middle", "label")] if bound else []
    if bound:
        said += f", bound {percent(bound.value)}"
    return picture(width, height, said, element("title", said), *parts, class_="interval")


def heat_map(rows: Sequence[str], columns: Sequence[str], counts: dict[tuple[str, str], int], totals: dict[str, int]) -> Markup:
    """Draw counts of (true, read) characters, colour by their logarithm; "" is a gap; `totals` are true characters in all."""
    cell, left, top = 26.0, 52.0, 44.0
    width, height = left + cell * len(columns) + 6, top + cell * len(rows) + 6
    most = max((n for (a, b), n in counts.items() if a != b), default=1)
    parts = [
        text(left + cell * len(columns) / 2, 13, "read as", "middle", "label"),
        element("text", "true", x=13, y=top + cell * len(rows) / 2, text_anchor="middle", class_="label",
                transform=f"rotate(-90 13 {top + cell * len(rows) / 2:.0f})"),
    ]  # fmt: skip
    for j, read in enumerate(columns):
        parts.append(text(left + cell * (j + 0.5), top - 8, read or "∅", "middle", "glyph"))
    for i, true in enumerate(rows):
        parts.append(text(left - 9, top + cell * (i + 0.5) + 5, true or "∅", "end", "glyph"))
        for j, read in enumerate(columns):
            parts += _heat_cell(true, read, counts.get((true, read), 0), most, totals, (left + cell * j, top + cell * i, cell))
    return picture(width, height, "characters that were confused", *parts, class_="heat")


def _heat_cell(
    true: str, read: str, count: int, most: int, totals: dict[str, int], place: tuple[float, float, float]
) -> list[Markup]:
    x, y, size = place
    of = f" of {totals[true]:,} ({count / totals[true]:.1%})" if totals.get(true) else ""
    said = f"{true or 'nothing'} read as {read or 'nothing'}: {count:,}{of}"
    box = {"x": x + 1, "y": y + 1, "width": size - 2, "height": size - 2, "rx": 3}
    if true == read:
        return [element("rect", element("title", said), **box, class_="cell right")]
    if not count:
        return [element("rect", **box, class_="cell")]
    share = math.log1p(count) / math.log1p(max(most, 1))
    strong = share > 0.55
    return [
        element("rect", element("title", said), **box, class_="cell hot", fill_opacity=0.15 + 0.85 * share),
        element("text", count if count < 1000 else short(count), x=x + size / 2, y=y + size / 2 + 4, text_anchor="middle",
                class_="count strong" if strong else "count"),
    ]  # fmt: skip


def calibration_chart(bins: Sequence[tuple[float, float, float]]) -> Markup:
    """Draw (mean confidence, share that was right, count) of each bin against the diagonal; dots grow with the count."""
    if not bins:
        return Markup("")
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, HEIGHT - BOTTOM, TOP)
    most = max(count for *_, count in bins) or 1
    parts = [*_y_axis(y, percent), *_x_axis(x, "confidence that the reader states", percent)]
    parts.append(line(x(0), y(0), x(1), y(1), "mark"))
    path = " ".join(f"{'L' if i else 'M'}{x(a):.1f} {y(b):.1f}" for i, (a, b, _) in enumerate(bins))
    parts.append(element("path", d=path, class_="line s1"))
    for confidence, right, count in bins:
        hover = element("title", f"stated {percent(confidence)}, right {percent(right)}, {count:.0f} crops")
        radius = 3 + 6 * math.sqrt(count / most)
        parts.append(element("circle", hover, cx=x(confidence), cy=y(right), r=radius, class_="bubble"))
    return picture(WIDTH, HEIGHT, "share of right readings by stated confidence", *parts)
