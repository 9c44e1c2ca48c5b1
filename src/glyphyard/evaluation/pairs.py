"""Edit distances and confusions of many (truth, reading) pairs at once.

The truth of what an edit is stands in core.text_metrics; this is the same arithmetic for millions of pairs, with distances from
rapidfuzz (C++) and tables only where they are needed. A test holds the two together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance.Levenshtein import distance

from glyphyard.core.text_metrics import align


def count_pairs(truths: Sequence[str], reads: Sequence[str]) -> tuple[np.ndarray, Counter[tuple[str, str]]]:
    """Return each pair's edit distance and how often each (true, read) character stood against each other, all pairs together."""
    edits = np.zeros(len(truths), dtype=np.int64)
    right: list[str] = []
    confusion: Counter[tuple[str, str]] = Counter()
    for i, (truth, read) in enumerate(zip(truths, reads, strict=True)):
        if truth == read:
            right.append(truth)
            continue
        edits[i] = edited = distance(truth, read)
        # Letters that stand against each other place by place are a cheapest alignment if nothing beats them, and the one
        # that `align` returns: it prefers a substitution wherever costs are equal.
        if len(truth) == len(read) and sum(map(str.__ne__, truth, read)) == edited:
            confusion.update(zip(truth, read))
        else:
            confusion.update(align(truth, read))
    for character, count in Counter("".join(right)).items():
        confusion[character, character] += count
    return edits, confusion
