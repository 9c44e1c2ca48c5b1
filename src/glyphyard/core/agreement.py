"""How far two runs of the same reader are apart, in numbers that mean something."""

from __future__ import annotations

import numpy as np

# Below this probability a class is never read, and its logarithm turns rounding (1e-7) into differences that mean nothing.
PROBABLE = 1e-3


def difference(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the difference of two (T,N,C) log-probabilities for each of N samples.

    It is the largest over all probabilities, and over the log-probabilities of classes that either side gives at least
    0.1 %. Numbers that are not finite are infinitely far apart.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        probable = np.maximum(expected, found) >= np.log(PROBABLE)
        in_logarithms = np.where(probable, np.abs(expected - found), 0.0)
        in_probabilities = np.abs(np.exp(expected) - np.exp(found))
        worst = np.maximum(in_logarithms, in_probabilities)
    return np.asarray(np.where(np.isnan(worst), np.inf, worst).max(axis=(0, 2)))
