"""Samples → figures: the suite's text policy, counts, intervals, slices, confusion, calibration. Pure; no model, no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glyphyard.core.alphabet import fold_from_groups
from glyphyard.core.records import Figure
from glyphyard.core.text_metrics import TextCounts
from glyphyard.evaluation.intervals import GroupSums, error_rate_interval
from glyphyard.evaluation.samples import Sample
from glyphyard.evaluation.wilson import wilson
from glyphyard.recipe.suite import SuiteConfig

METRICS = ("cer", "exact_match", "length_accuracy")
WIDTH_EDGES_PX = (64, 96, 128, 192, 256)
BRIGHTNESS_EDGES = (64, 96, 128, 160, 192)
NO_VALUE = "(none)"


@dataclass(frozen=True)
class Scores:
    """What each sample scored under one text policy, as columns; `group` holds group numbers 0…G-1."""

    edits: np.ndarray
    characters: np.ndarray
    exact: np.ndarray
    same_length: np.ndarray
    group: np.ndarray
    confusion: list[list[object]]

    def figures(self, suite: SuiteConfig, rows: np.ndarray | slice = slice(None)) -> dict[str, Figure]:
        """Return CER, exact match and length accuracy of the given rows with their intervals."""
        return {
            "cer": self._cer(suite, rows),
            "exact_match": share(self.exact[rows], suite.confidence),
            "length_accuracy": share(self.same_length[rows], suite.confidence),
        }

    def _cer(self, suite: SuiteConfig, rows: np.ndarray | slice) -> Figure:
        edits, characters = self.edits[rows], self.characters[rows]
        if not characters.sum():
            return Figure(None, None, None, 0)
        _, group = np.unique(self.group[rows], return_inverse=True)
        by_group = GroupSums(*(np.bincount(group, weights=w) for w in (edits, characters, np.ones(len(edits)))))
        low, high = error_rate_interval(by_group, suite.confidence, suite.bootstrap, suite.seed) or (None, None)
        return Figure(float(edits.sum() / characters.sum()), low, high, int(characters.sum()))


def score(samples: Sequence[Sample], equivalences: Sequence[str]) -> Scores:
    """Score samples after folding `equivalences` in the truth and in what was read; () for the raw scores."""
    fold = str.maketrans(fold_from_groups(equivalences))
    counts = TextCounts()
    pairs = [(sample.truth.translate(fold), sample.read.translate(fold)) for sample in samples]
    edits = [counts.add(truth, read) for truth, read in pairs]
    groups = {name: i for i, name in enumerate(dict.fromkeys(sample.group for sample in samples))}
    return Scores(
        edits=np.array(edits, dtype=np.int64),
        characters=np.array([len(truth) for truth, _ in pairs], dtype=np.int64),
        exact=np.array([truth == read for truth, read in pairs], dtype=bool),
        same_length=np.array([len(truth) == len(read) for truth, read in pairs], dtype=bool),
        group=np.array([groups[sample.group] for sample in samples], dtype=np.int64),
        confusion=[[truth, read, count] for (truth, read), count in sorted(counts.confusion.items())],
    )


def share(hits: np.ndarray, confidence: float) -> Figure:
    """Return the share of hits with Wilson's interval; no value without samples."""
    count, found = len(hits), int(hits.sum())
    if not count:
        return Figure(None, None, None, 0)
    low, high = wilson(found, count, confidence)
    return Figure(found / count, low, high, count)


def slices(samples: Sequence[Sample], scores: Scores, suite: SuiteConfig) -> dict[str, dict[str, Figure]]:
    """Return the figures of every "column=value" of the suite's slices; a column that no sample has is left out."""
    found: dict[str, dict[str, Figure]] = {}
    for column in dict.fromkeys((*suite.slices, *suite.slice_floors)):
        values = [slice_value(column)(sample) for sample in samples]
        if set(values) == {NO_VALUE}:
            continue
        for value in sorted(set(values), key=_natural):
            rows = np.array([v == value for v in values])
            found[f"{column}={value}"] = scores.figures(suite, rows)
    return found


def slice_value(column: str) -> Callable[[Sample], str]:
    """Return how a sample is sorted into slices of `column`: source, length, width, brightness, or a column of its metadata."""
    known: dict[str, Callable[[Sample], str]] = {
        "source": lambda sample: sample.source,
        "length": lambda sample: str(len(sample.truth)),
        "width": lambda sample: _bin(sample.width_px, WIDTH_EDGES_PX),
        "brightness": lambda sample: _bin(sample.brightness, BRIGHTNESS_EDGES),
    }
    return known.get(column, lambda sample: str(sample.meta.get(column) or NO_VALUE))


def _bin(value: float, edges: tuple[int, ...]) -> str:
    at = sum(value >= edge for edge in edges)
    if at == 0:
        return f"<{edges[0]}"
    return f">={edges[-1]}" if at == len(edges) else f"{edges[at - 1]}-{edges[at] - 1}"


def _natural(value: str) -> tuple[float, str]:
    # Lengths and bins in the order of their numbers, words after them.
    digits = value.lstrip("<>=").split("-")[0]
    order = float(digits) if digits.isdecimal() else math.inf
    return (-1.0 if value.startswith("<") else order), value
