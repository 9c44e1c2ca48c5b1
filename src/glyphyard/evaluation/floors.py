"""Floors of slices: tripwires for exact match by camera, length, state …, all slices judged together.

A slice passes if its exact match lies above the floor, fails if it lies below by more than chance explains, and is undecided in
between. Among 50 states one is 2.5 standard errors low by chance alone, so the p values (one-sided score test, Wilson's
other face) are Holm's. Slices under `min_slice_samples` are not judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from glyphyard.core.records import Figure, Finding, Scorecard
from glyphyard.evaluation.paired import holm
from glyphyard.evaluation.wilson import samples_needed
from glyphyard.evaluation.words import bound_words, settle, with_interval
from glyphyard.recipe.suite import SuiteConfig


def floor_findings(scorecard: Scorecard, suite: SuiteConfig) -> Iterator[Finding]:
    """Judge every slice of the suite's floors; a floor that judges no slice is said."""
    judged = {
        name: (figures["exact_match"], suite.slice_floors[name.partition("=")[0]])
        for name, figures in scorecard.slices.items()
        if name.partition("=")[0] in suite.slice_floors and figures["exact_match"].count >= suite.min_slice_samples
    }
    p_values = holm([score_test_p(figure, floor) for figure, floor in judged.values()])
    for (name, (figure, floor)), p in zip(judged.items(), p_values, strict=True):
        yield _judge_floor(name, figure, floor, p, len(judged), suite)
    for column, floor in suite.slice_floors.items():
        if not any(name.partition("=")[0] == column for name in judged):
            bound = bound_words("exact_match", floor)
            problem = f"no slice of {column} has {suite.min_slice_samples} samples, so its floor of {bound} was not judged"
            rule = f"{column}: exact match > {bound}"
            yield Finding(rule, "INSUFFICIENT_DATA", None, None, None, floor, 0, problem, "floor")


def score_test_p(figure: Figure, floor: float) -> float:
    """Return the one-sided p value that a share this low comes from a true share of at least `floor`."""
    assert figure.value is not None  # it has samples
    if floor in (0.0, 1.0):
        return 0.0 if figure.value < floor else 1.0
    count = figure.effective or figure.count
    return NormalDist().cdf((figure.value - floor) / math.sqrt(floor * (1 - floor) / count))


def _judge_floor(name: str, figure: Figure, floor: float, p: float, together: int, suite: SuiteConfig) -> Finding:
    assert figure.value is not None
    rule = f"{name}: exact match > {bound_words('exact_match', floor)}"
    said = f"{rule}: {with_interval('exact_match', figure, suite.confidence)} on {figure.count} {suite.unit}"

    def found(outcome: str, rest: str) -> Finding:
        return Finding(rule, outcome, figure.value, figure.low, figure.high, floor, figure.count, f"{said}; {rest}", "floor")

    if figure.value > floor:
        return found("PASS", "it holds")
    among = f"p = {p:.3g}" + (f" among {together} slices" if together > 1 else "")
    if p < (1 - suite.confidence) / 2:
        return found("FAIL", f"it does not hold ({among})")
    needed = samples_needed(figure.value, floor, suite.confidence ** (1 / max(1, together)))
    more = None if needed is None else math.ceil(needed * figure.count / (figure.effective or figure.count)) - figure.count
    advice = settle(max(1, more), suite.unit) if more is not None else f"more labelled {suite.unit} would settle it"
    return found("INSUFFICIENT_DATA", f"it lies below, but that may be chance ({among}); {advice}")
