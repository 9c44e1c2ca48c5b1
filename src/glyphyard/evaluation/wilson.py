"""Wilson's interval for shares of samples, and how many samples it takes; plain Python, for `plan` asks it before anything runs."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def z_of(confidence: float) -> float:
    """Return the standard normal quantile of a two-sided confidence, e.g. 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(successes: float, count: float, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a share; it never leaves [0, 1] and is honest at 0 and 1. `count` > 0."""
    z = z_of(confidence)
    rate, spread = successes / count, z * z / count
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(rate * (1 - rate) / count + spread / (4 * count))
    # At a rate of 0 or 1 the formula gives exactly that end, but for rounding.
    low = 0.0 if successes <= 0 else max(0.0, centre - half)
    high = 1.0 if successes >= count else min(1.0, centre + half)
    return float(low), float(high)


def samples_needed(rate: float, bound: float, confidence: float) -> int | None:
    """Return the least count at which Wilson's interval of an observed `rate` lies strictly beyond `bound`; None if none does.

    Which side is meant follows from the rate: above the bound the low end has to clear it, below the high end.
    """
    if rate == bound or not 0 <= bound <= 1:
        return None

    def clears(count: int) -> bool:
        low, high = wilson(rate * count, count, confidence)
        return low > bound if rate > bound else high < bound

    most = 1
    while not clears(most):
        most *= 2
        if most > 1 << 40:
            return None
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if clears(middle) else (middle, most)
    return most
