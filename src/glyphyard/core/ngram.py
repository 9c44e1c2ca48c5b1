"""A character n-gram: which character follows which, learnt from labels and kept as plain counts."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.errors import BadInput

START, END = "\x02", "\x03"  # before the first character and after the last
MAX_ORDER = 8
SCHEMA_VERSION = 1


class Ngram:
    """P(next character | the last order − 1), for the classes of an alphabet.

    Smoothed by interpolation with ever shorter contexts (Witten and Bell, 1991): what was never seen stays possible.
    """

    def __init__(self, order: int, grams: dict[str, int], alphabet: Alphabet) -> None:
        self.order, self.grams = order, grams
        self._index = {END: 0} | {c: i for i, c in enumerate(alphabet.characters, 1)}
        # Texts were padded with START, so that each shorter context's counts are sums of the longest one's.
        self._following: dict[str, Counter[str]] = defaultdict(Counter)
        for gram, count in grams.items():
            for shorter in range(order):
                self._following[gram[shorter:-1]][gram[-1]] += count
        self._known: dict[str, np.ndarray] = {}

    def context(self, text: str) -> str:
        """Return the longest end of `text` that the next character was seen after; "" knows nothing of what came before."""
        context = (START * (self.order - 1) + text)[len(text) :]
        while context not in self._following and context:
            context = context[1:]
        return context

    def log_probabilities(self, text: str) -> np.ndarray:
        """Return log P(next | text) over all classes, (K,) float64; class 0, elsewhere the blank, is the end of the text."""
        return self._of(self.context(text))

    def _of(self, context: str) -> np.ndarray:
        known = self._known.get(context)
        if known is None:
            even = np.full(len(self._index), 1 / len(self._index))
            shorter = np.exp(self._of(context[1:])) if context else even
            counts = self._following.get(context, Counter())
            mass = shorter * max(1, len(counts))
            for character, count in counts.items():
                mass[self._index[character]] += count
            known = self._known[context] = np.log(mass / mass.sum())
        return known

    def log_probability(self, text: str) -> float:
        """Return log P(text), its end included."""
        steps = (self.log_probabilities(text[:i])[self._index[c]] for i, c in enumerate(text))
        return float(sum(steps) + self.log_probabilities(text)[0])

    def perplexity(self, texts: Iterable[str]) -> float:
        """Return how many characters the model hesitates between, on average over `texts`."""
        known = list(texts)
        return math.exp(-sum(map(self.log_probability, known)) / sum(len(text) + 1 for text in known))

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        return {"schema_version": SCHEMA_VERSION, "order": self.order, "grams": self.grams}

    @classmethod
    def from_json(cls, value: Any, alphabet: Alphabet, where: str) -> Ngram:
        """Read a model back; what does not fit the alphabet or the schema is a `BadInput` naming `where`."""
        whole = isinstance(value, dict) and set(value) == {"schema_version", "order", "grams"}
        if not whole or value["schema_version"] != SCHEMA_VERSION or type(value["order"]) is not int:
            raise BadInput(where, f"expected an n-gram of schema {SCHEMA_VERSION}", "export the bundle again")
        order, grams = value["order"], value["grams"]
        known = set(alphabet.characters)
        fits = 1 <= order <= MAX_ORDER and isinstance(grams, dict)
        if not fits or not all(type(n) is int and n > 0 and _is_gram(gram, order, known) for gram, n in grams.items()):
            raise BadInput(where, "holds counts that are not of this alphabet", "export the bundle again")
        return cls(order, grams, alphabet)


def _is_gram(gram: str, order: int, known: set[str]) -> bool:
    return len(gram) == order and set(gram[:-1].lstrip(START)) <= known and gram[-1] in known | {END}


def learn_ngram(texts: Iterable[str], order: int, alphabet: Alphabet) -> Ngram:
    """Count the n-grams of texts, folded as the alphabet folds; a character that it does not hold is a `BadInput`."""
    grams: Counter[str] = Counter()
    for text in texts:
        if strangers := alphabet.unknown(text):
            raise BadInput(f"label {text!r}", f"characters {strangers} are not in the alphabet {alphabet.characters!r}")
        padded = START * (order - 1) + alphabet.canonical(text) + END
        grams.update(padded[i : i + order] for i in range(len(padded) - order + 1))
    return Ngram(order, dict(sorted(grams.items())), alphabet)
