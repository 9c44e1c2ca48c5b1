"""Two models on the same samples: McNemar's exact test, its form for groups, differences with intervals, Holm's correction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from scipy.special import bdtr, gammaln

from glyphyard.evaluation.intervals import GroupSums, ratio_bootstrap

MOST_EXACT = 20_000  # larger sums follow the normal distribution to more digits than anybody decides by


@dataclass(frozen=True)
class Difference:
    """After minus before on the same samples: a rate with its interval (None: too few groups) and a two-sided p value."""

    value: float
    low: float | None
    high: float | None
    p_value: float
    won: int
    lost: int
    samples: int


def exact_match_difference(
    before: np.ndarray, after: np.ndarray, group: np.ndarray, confidence: float, repeats: int, seed: int
) -> Difference:
    """Compare who read which sample exactly; `before` and `after` are booleans, p is McNemar's exact test over groups."""
    change = after.astype(np.int64) - before.astype(np.int64)
    sums = _by_group(change, np.ones(len(change)), group)
    low, high = ratio_bootstrap(sums, confidence, repeats, seed) or (None, None)
    won, lost = int((change > 0).sum()), int((change < 0).sum())
    return Difference(float(change.mean()), low, high, sign_flip_p(sums.edits), won, lost, len(change))


def error_rate_difference(
    before: np.ndarray, after: np.ndarray, characters: np.ndarray, group: np.ndarray, confidence: float, repeats: int, seed: int
) -> Difference:
    """Compare edits ÷ characters; the interval is a paired bootstrap over groups, p the exact sign-flip test of their sums."""
    change = after.astype(np.int64) - before.astype(np.int64)
    sums = _by_group(change, characters, group)
    low, high = ratio_bootstrap(sums, confidence, repeats, seed) or (None, None)
    better, worse = int((change < 0).sum()), int((change > 0).sum())
    value = float(change.sum() / characters.sum()) if characters.sum() else 0.0
    return Difference(value, low, high, sign_flip_p(sums.edits), better, worse, len(change))


def _by_group(change: np.ndarray, weight: np.ndarray, group: np.ndarray) -> GroupSums:
    _, number = np.unique(group, return_inverse=True)
    sums = (np.bincount(number, weights=w).astype(np.int64) for w in (change, weight, np.ones(len(change))))
    return GroupSums(*sums)


def mcnemar_exact(won: int, lost: int) -> float:
    """Return the two-sided p value of McNemar's exact test (1947): the discordant samples are tosses of a fair coin."""
    return min(1.0, 2 * float(bdtr(min(won, lost), won + lost, 0.5))) if won + lost else 1.0


def sign_flip_p(net: np.ndarray) -> float:
    """Return the exact two-sided p value of Σ `net` if each group's integer could as well have the other sign.

    With one sample a group this is McNemar's exact test; a group that changed as a whole counts once, with its weight.
    """
    size = np.abs(net[net != 0]).astype(np.int64)
    observed, most = int(abs(net.sum())), int(size.sum())
    if not len(size) or observed == 0:
        return 1.0
    if (size == 1).all():
        return mcnemar_exact((most - observed) // 2, (most + observed) // 2)
    if most > MOST_EXACT:
        return erfc(observed / sqrt(2 * float((size**2).sum())))
    chance = np.ones(1)  # of each number of units with a plus sign
    for unit, count in sorted(Counter(size.tolist()).items()):
        tosses = np.zeros(unit * count + 1)
        tosses[::unit] = _binomial(count)
        chance = np.convolve(chance, tosses)
    at_least = np.abs(2 * np.arange(most + 1) - most) >= observed
    return float(min(1.0, chance[at_least].sum()))


def _binomial(count: int) -> np.ndarray:
    k = np.arange(count + 1)
    return np.asarray(np.exp(gammaln(count + 1) - gammaln(k + 1) - gammaln(count - k + 1) - count * np.log(2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down p values (1979): with them all hypotheses together are wrongly rejected at the stated rate."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
