"""Small SVG drawing: elements with escaped text, scales and ticks; colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Format = Callable[[float], str]


def element(tag: str, *children: object, **attributes: object) -> Markup:
    """Return one SVG element; text children and attribute values are escaped, `class_` and `stroke_width` lose their underscore."""
    written = "".join(f' {_name(k)}="{escape(_value(v))}"' for k, v in attributes.items() if v is not None)
    inner = "".join(str(escape(c)) for c in children)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")


def picture(width: float, height: float, label: str, *children: object, class_: str = "chart") -> Markup:
    """Return the outer <svg>: scales with its column, and says to a screen reader what it shows."""
    return element("svg", *children, viewBox=f"0 0 {_value(width)} {_value(height)}", class_=class_, role="img", aria_label=label)


def text(x: float, y: float, words: object, anchor: str = "start", class_: str = "tick") -> Markup:
    """Return a piece of text."""
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


@dataclass(frozen=True)
class Scale:
    """Values `low`..`high` laid onto pixels `start`..`end`, in their logarithms if `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(max(v, 1e-12)) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * ((at - low) / (high - low) if high > low else 0.5)

    def ticks(self, count: int = 5) -> list[float]:
        """Return round values inside the scale."""
        return log_ticks(self.low, self.high) if self.log else round_ticks(self.low, self.high, count)


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` values of 1, 2 or 5 times a power of ten between `low` and `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    # A tick may miss an end by rounding alone: it is put on the end.
    return [min(max(round(k * step, 12), low), high) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return powers of ten (with their 2 and 5 where few) between `low` and `high`."""
    exponents = range(math.floor(math.log10(max(low, 1e-12))), math.ceil(math.log10(max(high, 1e-12))) + 1)
    factors = (1,) if len(exponents) > 4 else (1, 2, 5) if len(exponents) <= 2 else (1, 3)
    return [v for e in exponents for f in factors if low * 0.999 <= (v := f * 10.0**e) <= high * 1.001]


def percent(value: float) -> str:
    """Return 0.0525 as "5.25 %"-like text with only the digits that it needs."""
    return f"{value * 100:.4g}%"


def short(value: float) -> str:
    """Return a number in at most a few characters: 1200 → 1.2k, 0.0004 → 4e-4."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value / 1000:.3g}k" if abs(value) < 1e6 else f"{value / 1e6:.3g}M"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.3g}"


def apart(values: Sequence[float], form: Format) -> list[str]:
    """Return ticks in words, with as many digits as they have where `short` would round them."""
    if form is not short or not all(1e-3 <= abs(value) < 1000 for value in values if value):
        return [form(value) for value in values]
    digits = next((d for d in range(3, 12) if all(math.isclose(float(f"{v:.{d}g}"), v, rel_tol=1e-9) for v in values)), 3)
    return [f"{value:.{digits}g}" for value in values]


def sampled(points: Sequence[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """Return at most about `most` of the points, evenly taken, the last always among them."""
    step = max(1, math.ceil(len(points) / most))
    kept = list(points[::step])
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def _name(key: str) -> str:
    return key if key == "viewBox" else key.rstrip("_").replace("_", "-")


def _value(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
