"""Near-duplicates: images whose 64-bit difference hashes (Krawetz, 2013) differ in a few bits only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

MANY_BITS = 7  # from here on segments are so short that they tell nothing apart
NONE = 65 << 32  # further away than 64 bits can be
BLOCK = 4_000_000  # candidate pairs compared at once: 32 MB a column


def difference_hash(image: np.ndarray) -> int:
    """Return 64 bits of a uint8 image: is each of 8×8 cells brighter than its right neighbour?"""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    return int.from_bytes(np.packbits(cells[:, :-1] > cells[:, 1:]).tobytes(), "big")


def nearest(a: np.ndarray, b: np.ndarray, bits: int) -> list[tuple[int, int, int]]:
    """Return (index in a, index in b, differing bits) of each uint64 hash in b whose nearest in a is at most `bits` away.

    With few bits the hashes are cut into bits + 1 segments, one of which must be equal (pigeonhole), and only
    pairs that share a segment are compared; with many, all pairs are. One answer a hash, so that a thousand black
    images do not give a million pairs.
    """
    a, b = np.asarray(a, np.uint64), np.asarray(b, np.uint64)
    best = np.full(len(b), NONE, np.int64)  # distance in the upper half, index in a in the lower: the least is the nearest
    for i, j in _candidates(a, b, bits):
        np.minimum.at(best, j, (np.bitwise_count(a[i] ^ b[j]).astype(np.int64) << 32) | i)
    near = np.flatnonzero(best >> 32 <= bits)
    return [(int(best[j] & 0xFFFFFFFF), int(j), int(best[j] >> 32)) for j in near]


def _candidates(a: np.ndarray, b: np.ndarray, bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    edges = np.linspace(0, 64, bits + 2).astype(int) if bits < MANY_BITS else [0, 0]  # an empty segment is always equal
    for low, high in pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        keys = (b >> np.uint64(low)) & mask
        order = np.argsort(keys, kind="stable")
        wanted = (a >> np.uint64(low)) & mask
        first = np.searchsorted(keys[order], wanted, "left")
        count = np.searchsorted(keys[order], wanted, "right") - first
        yield from _ranges(first, count, order)


def _ranges(first: np.ndarray, count: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (i, order[first[i] + 0 … count[i] - 1]) for all i, about BLOCK pairs at a time."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BLOCK, "right")))
        counts = count[start:stop]
        i = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
        if len(i):
            yield i, order[first[i] + within]
        start = stop
