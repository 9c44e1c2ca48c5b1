"""Charts of a sweep: history, parallel coordinates, slices and learning curves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from glyphyard.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, _padded, _x_axis, _y_axis
from glyphyard.report.svg import Format, Scale, element, line, picture, short, text

WIDE, TALL = 920.0, 300.0
SIDE, SLICE_HEIGHT = 60.0, 150.0
MOST_LABEL = 16


@dataclass(frozen=True)
class TrialLine:
    """A trial as the page shows it."""

    name: str
    state: str  # complete, stopped, failed or running
    values: dict[str, Any]
    value: float | None
    curve: list[tuple[float, float]] = field(default_factory=list)
    reason: str = ""
    seconds: float | None = None

    @property
    def last(self) -> float | None:
        """Return the objective's value, or for a stopped trial its last one."""
        return self.value if self.value is not None else self.curve[-1][1] if self.curve else None


def history_chart(trials: Sequence[TrialLine], lower_is_better: bool, form: Format, base: float | None) -> Markup:
    """Draw each trial's value in the order of trials, the best so far as a line, the base recipe's mean as a level."""
    points = [(i, t, t.last) for i, t in enumerate(trials) if t.last is not None]
    if not points:
        return Markup("")
    values = [v for _, _, v in points if v is not None] + ([base] if base is not None else [])
    y = Scale(*_padded(min(values), max(values), False), HEIGHT - BOTTOM, TOP)
    x = Scale(0, max(1, len(trials) - 1), LEFT + 8, WIDTH - RIGHT - 8)
    parts = [*_y_axis(y, form), *_x_axis(x, "trial")]
    if base is not None:
        parts += [line(LEFT, y(base), WIDTH - RIGHT, y(base), "mark"), text(WIDTH - RIGHT, y(base) - 4, "base recipe", "end")]
    best, steps = None, list[tuple[float, float]]()
    for i, trial, value in points:
        if trial.state == "complete" and value is not None:
            better = best is None or (value < best if lower_is_better else value > best)
            best = value if better else best
            steps.append((x(i), y(best if best is not None else value)))
    parts.append(_path([p for a, b in pairwise(steps) for p in (a, (b[0], a[1]), b)] or steps, "line s1"))
    for i, trial, value in points:
        if value is not None:
            parts.append(_dot(x(i), y(value), trial, f"{trial.name}: {form(value)} ({trial.state})"))
    return picture(WIDTH, HEIGHT, "objective by trial", *parts)


def curves_chart(trials: Sequence[TrialLine], form: Format, rungs: Sequence[int]) -> Markup:
    """Draw each trial's objective by epoch; stopped ones end in a cross, rungs are dashed."""
    drawn = [t for t in trials if t.curve]
    if not drawn:
        return Markup("")
    xs, ys = [e for t in drawn for e, _ in t.curve], [v for t in drawn for _, v in t.curve]
    y = Scale(*_padded(min(ys), max(ys), False), HEIGHT - BOTTOM, TOP)
    x = Scale(min(xs), max(*xs, min(xs) + 1), LEFT, WIDTH - RIGHT)
    parts = [*_y_axis(y, form), *_x_axis(x, "epoch")]
    parts += [line(x(r), TOP, x(r), HEIGHT - BOTTOM, "mark") for r in rungs if min(xs) <= r <= max(xs)]
    for trial in sorted(drawn, key=lambda t: t.state == "complete"):
        points = [(x(e), y(v)) for e, v in trial.curve]
        tone = "s1" if trial.state == "complete" else "s2"
        hover = element("title", f"{trial.name}: {form(trial.curve[-1][1])} after epoch {trial.curve[-1][0]:g} ({trial.state})")
        parts.append(_path(points, f"line thin {tone}", hover))
        parts.append(_dot(*points[-1], trial, f"{trial.name}: {form(trial.curve[-1][1])} ({trial.state})"))
    return picture(WIDTH, HEIGHT, "objective by epoch, a line a trial", *parts)


def parallel_chart(
    trials: Sequence[TrialLine], paths: Sequence[str], logs: set[str], metric: str, lower_is_better: bool, form: Format
) -> Markup:
    """Draw one vertical axis a field and one for the objective, a line a trial; the better, the darker."""
    drawn = [t for t in trials if t.last is not None]
    if not drawn or not paths:
        return Markup("")
    axes = [_axis([t.values.get(p) for t in drawn], p in logs) for p in paths]
    results = [t.last for t in drawn if t.last is not None]
    goal = Scale(*_padded(min(results), max(results), False), TALL - BOTTOM, TOP + 18)
    gap = (WIDE - 2 * SIDE) / len(paths)
    parts = []
    order = sorted(drawn, key=lambda t: t.last if t.last is not None else 0.0, reverse=lower_is_better)
    for rank, trial in enumerate(order):
        points = [(SIDE + i * gap, where) for i, a in enumerate(axes) if (where := a.at(trial.values.get(paths[i]))) is not None]
        points.append((SIDE + len(paths) * gap, goal(trial.last or 0.0)))
        strength = 0.12 + 0.78 * ((rank + 1) / len(order)) ** 2
        tone = "s1" if trial.state == "complete" else "s2"
        hover = element("title", f"{trial.name}: {form(trial.last or 0.0)} ({trial.state})")
        parts.append(_path(points, f"line thin {tone}", hover, stroke_opacity=round(strength, 3)))
    for i, (path, axis) in enumerate(zip(paths, axes, strict=True)):
        parts += _upright(SIDE + i * gap, path, axis.labels, i % 2)
    ticks = [(form(v), goal(v)) for v in goal.ticks(4)]
    parts += _upright(SIDE + len(paths) * gap, metric, ticks, len(paths) % 2)
    return picture(WIDE, TALL, "parallel coordinates of the trials", *parts)


@dataclass(frozen=True)
class _Axis:
    at: Callable[[Any], float | None]
    labels: list[tuple[str, float]]


def _axis(values: Sequence[Any], log: bool) -> _Axis:
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    present = [v for v in values if v is not None]
    if present and len(numbers) == len(present):
        low, high = min(numbers), max(numbers)
        scale = Scale(low, high, TALL - BOTTOM, TOP + 18, log and low > 0)
        return _Axis(lambda v: None if v is None else scale(v), [(short(low), scale(low)), (short(high), scale(high))])
    names = sorted({_name(v) for v in present})
    spread = Scale(0, max(1, len(names) - 1), TALL - BOTTOM, TOP + 18)
    places = {name: spread(i) if len(names) > 1 else (TALL - BOTTOM + TOP) / 2 for i, name in enumerate(names)}
    return _Axis(lambda v: None if v is None else places[_name(v)], list(places.items()))


def _name(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _upright(x: float, name: str, labels: Sequence[tuple[str, float]], row: int) -> list[Markup]:
    parts = [line(x, TOP + 18, x, TALL - BOTTOM, "axis")]
    # Names of neighbouring axes stand in two rows, or they would run into each other.
    parts.append(text(x, TALL - 22 + 14 * row, _cut(name), "middle", "label"))
    return parts + [text(x + 4, at - 3, _cut(label)) for label, at in labels]


def slice_chart(trials: Sequence[TrialLine], path: str, log: bool, form: Format) -> Markup:
    """Draw the objective against one field, a dot a trial."""
    drawn = [(t, t.last, at) for t in trials if t.last is not None and (at := t.values.get(path)) is not None]
    if not drawn:
        return Markup("")
    results = [value for _, value, _ in drawn]
    y = Scale(*_padded(min(results), max(results), False), SLICE_HEIGHT - 24, 8)
    numeric = all(isinstance(v, (int, float)) and not isinstance(v, bool) for _, _, v in drawn)
    names = [] if numeric else sorted({_name(v) for _, _, v in drawn})
    ends = [float(v) for _, _, v in drawn] if numeric else [-0.5, len(names) - 0.5]
    x = Scale(min(ends), max(ends), LEFT + 8, WIDTH / 1.5 - 12, log and min(ends) > 0)
    parts = [text(LEFT - 6, y(v) + 4, form(v), "end") for v in y.ticks(3)]
    parts += [line(LEFT, y(v), WIDTH / 1.5 - 8, y(v), "gridline") for v in y.ticks(3)]
    shown = [(short(v), x(v)) for v in x.ticks(4)] if numeric else [(_cut(n), x(i)) for i, n in enumerate(names)]
    parts += [text(at, SLICE_HEIGHT - 8, label, "middle") for label, at in shown]
    for trial, value, at in drawn:
        place = x(float(at)) if numeric else x(names.index(_name(at)))
        parts.append(_dot(place, y(value), trial, f"{trial.name}: {_name(at)} → {form(value)} ({trial.state})"))
    return picture(WIDTH / 1.5, SLICE_HEIGHT, f"objective by {path}", *parts)


def _dot(x: float, y: float, trial: TrialLine, words: str) -> Markup:
    hover = element("title", words)
    if trial.state == "complete":
        return element("circle", hover, cx=x, cy=y, r=3.2, class_="dot s1")
    r = 3.2
    return element(
        "path",
        hover,
        d=f"M{x - r:.1f} {y - r:.1f}L{x + r:.1f} {y + r:.1f}M{x - r:.1f} {y + r:.1f}L{x + r:.1f} {y - r:.1f}",
        class_="line thin s2",
    )


def _path(points: Sequence[tuple[float, float]], class_: str, *children: Markup, **more: object) -> Markup:
    places = (f"{'L' if i else 'M'}{a:.1f} {b:.1f}" for i, (a, b) in enumerate(points) if math.isfinite(a) and math.isfinite(b))
    return element("path", *children, d=" ".join(places), class_=class_, **more)


def _cut(words: str) -> str:
    return words if len(words) <= MOST_LABEL else f"…{words[-MOST_LABEL + 1 :]}"
