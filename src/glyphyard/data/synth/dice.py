"""Seeded choices: one stream of random numbers per (seed, index, family, purpose)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice(random.Random):
    """A `random.Random` with the handful of throws that a plate needs (scalar draws are 5x cheaper than numpy's)."""

    @classmethod
    def of(cls, *key: object) -> Dice:
        """Return the stream named by `key`; the same key gives the same stream in every process."""
        digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
        return cls(int.from_bytes(digest, "little"))

    def chance(self, probability: float) -> bool:
        """Return True with `probability`."""
        return self.random() < probability

    def between(self, low: float, high: float) -> float:
        """Return a number drawn evenly from [low, high)."""
        return low + (high - low) * self.random()

    def whole(self, low: int, high: int) -> int:
        """Return a whole number drawn evenly from low..high, both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """Return one of `options`, each as likely as the next."""
        return options[int(self.random() * len(options))]

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """Return the first item of one (item, weight) pair, drawn by weight."""
        left = self.random() * sum(weight for _, weight in options)
        for item, weight in options:
            left -= weight
            if left < 0:
                return item
        return options[-1][0]
