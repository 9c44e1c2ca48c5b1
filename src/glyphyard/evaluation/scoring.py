"""Samples → figures: the suite's text policy, counts, intervals, slices, confusion, calibration. Pure; no model, no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glyphyard.core.alphabet import text_policy
from glyphyard.core.records import Figure
from glyphyard.evaluation.clusters import share
from glyphyard.evaluation.intervals import GroupSums, error_rate_interval
from glyphyard.evaluation.pairs import count_pairs
from glyphyard.evaluation.samples import Sample
from glyphyard.recipe.suite import SuiteConfig

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
            "exact_match": share(self.exact[rows], self.group[rows], suite.confidence),
            "length_accuracy": share(self.same_length[rows], self.group[rows], suite.confidence),
        }

    def _cer(self, suite: SuiteConfig, rows: np.ndarray | slice) -> Figure:
        edits, characters = self.edits[rows], self.characters[rows]
        if not characters.sum():
            return Figure(None, None, None, 0)
        _, group = np.unique(self.group[rows], return_inverse=True)
        by_group = GroupSums(*(np.bincount(group, weights=w) for w in (edits, characters, np.ones(len(edits)))))
        low, high = error_rate_interval(by_group, suite.confidence, suite.bootstrap, suite.seed) or (None, None)
        return Figure(float(edits.sum() / characters.sum()), low, high, int(characters.sum()))


def score(samples: Sequence[Sample], equivalences: Sequence[str], case: str = "keep") -> Scores:
    """Score samples under a text policy, applied to the truth and to what was read; () and "keep" for the raw scores."""
    policy = str.maketrans(text_policy(equivalences, case))
    truths = [sample.truth.translate(policy) for sample in samples]
    reads = [sample.read.translate(policy) for sample in samples]
    edits, confusion = count_pairs(truths, reads)
    groups = {name: i for i, name in enumerate(dict.fromkeys(sample.group for sample in samples))}
    return Scores(
        edits=edits,
        characters=np.array([len(truth) for truth in truths], dtype=np.int64),
        exact=np.array([truth == read for truth, read in zip(truths, reads, strict=True)], dtype=bool),
        same_length=np.array([len(truth) == len(read) for truth, read in zip(truths, reads, strict=True)], dtype=bool),
        group=np.array([groups[sample.group] for sample in samples], dtype=np.int64),
        confusion=[[truth, read, count] for (truth, read), count in sorted(confusion.items())],
    )


def slices(samples: Sequence[Sample], scores: Scores, suite: SuiteConfig) -> dict[str, dict[str, Figure]]:
    """Return the figures of every "column=value" of the suite's slices; a column that no sample has is left out."""
    found: dict[str, dict[str, Figure]] = {}
    for column in dict.fromkeys((*suite.slices, *suite.slice_floors)):
        values = [slice_value(column)(sample) for sample in samples]
        if set(values) == {NO_VALUE}:
            continue
        rows_of: dict[str, list[int]] = {}
        for i, value in enumerate(values):
            rows_of.setdefault(value, []).append(i)
        for value in sorted(rows_of, key=_natural):
            found[f"{column}={value}"] = scores.figures(suite, np.array(rows_of[value]))
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
