"""Shares of samples that come in groups: several crops of one camera track are not as many independent samples.

Wilson's interval takes samples as independent. Here it is given the effective count: the samples divided by the design effect
(Kish, 1965), as Korn and Graubard (1998) do with Clopper and Pearson's. With one sample a group it is Wilson's own.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from glyphyard.core.records import Figure
from glyphyard.evaluation.wilson import wilson, z_of


def share(hits: np.ndarray, group: np.ndarray, confidence: float) -> Figure:
    """Return the share of hits with its interval, `group` being each sample's group; no value without samples."""
    count, found = len(hits), int(hits.sum())
    if not count:
        return Figure(None, None, None, 0)
    effective = effective_count(hits, group, confidence)
    low, high = wilson(found / count * effective, effective, confidence)
    return Figure(found / count, low, high, count, effective)


def effective_count(hits: np.ndarray, group: np.ndarray, confidence: float) -> float:
    """Return how many independent samples these are worth, between 1 and their number.

    The design effect is that of a ratio of sums over groups. One average group that is all right and one that is all wrong are added
    first (as Agresti and Coull add samples): without an error nothing else says whether groups err as a whole, and then
    groups have to be counted, not samples. Few groups know their own spread badly: Student's t takes the normal's place.
    """
    _, number = np.unique(group, return_inverse=True)
    size = np.bincount(number).astype(float)
    groups, count = len(size), float(size.sum())
    if groups == count:
        return count
    if groups < 2:
        return 1.0
    typical = (size**2).sum() / count  # the size of the group that a sample stands in, on average
    found = np.bincount(number, weights=hits)
    order = np.lexsort((found, size))  # sums do not depend on how the groups are called
    found, size = np.r_[found[order], typical, 0.0], np.r_[size[order], typical, typical]
    total = size.sum()
    rate = found.sum() / total
    variance = len(size) / (len(size) - 1) * ((found - rate * size) ** 2).sum() / total**2
    design_effect = max(1.0, variance / (rate * (1 - rate) / total))
    known = (z_of(confidence) / float(stdtrit(groups - 1, 0.5 + confidence / 2))) ** 2
    return float(np.clip(count / design_effect * known, 1.0, count))
