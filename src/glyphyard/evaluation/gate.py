"""Scorecard + suite → Verdict: PASS, FAIL or INSUFFICIENT_DATA.

A strict bound on a figure passes if the whole confidence interval satisfies it, fails if the figure itself does not, and
is undecided otherwise: the figure is good enough, but another set of this size could well say the opposite. Fewer samples
than `min_samples` decide nothing either way. A slice's floor is a tripwire, not a bar: it passes if the slice's exact
match lies above it, fails if it lies below by more than chance explains among all slices judged (Šidák, 1967), and is
undecided in between; slices under `min_slice_samples` are not judged. A figure without a value never passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from glyphyard.core.errors import BadInput, ExitCode
from glyphyard.core.files import canonical_json, sha256_bytes
from glyphyard.core.records import Figure, Finding, Scorecard, Verdict
from glyphyard.evaluation.wilson import samples_needed, wilson
from glyphyard.recipe.suite import SuiteConfig

PASS, FAIL, INSUFFICIENT_DATA = "PASS", "FAIL", "INSUFFICIENT_DATA"
LABELS = {"cer": "CER", "exact_match": "exact match", "length_accuracy": "length accuracy"}


def exit_code(verdict: Verdict) -> ExitCode:
    """Return what the shell is told: 0 PASS, 1 FAIL, 3 INSUFFICIENT_DATA."""
    return {PASS: ExitCode.OK, FAIL: ExitCode.GATE_FAILED, INSUFFICIENT_DATA: ExitCode.INSUFFICIENT_DATA}[verdict.outcome]


def judge(scorecard: Scorecard, suite: SuiteConfig) -> Verdict:
    """Hold a scorecard against a suite; one that was made for another suite, set or confidence is a `BadInput`."""
    _same_terms(scorecard, suite)
    identity = scorecard_sha256(scorecard)
    findings = [*_threshold_findings(scorecard, suite), *_floor_findings(scorecard, suite)]
    if not findings:
        raise BadInput(f"suite {suite.name}", "has no threshold to judge by", "state `below` or `above`")
    outcomes = {finding.outcome for finding in findings}
    outcome = FAIL if FAIL in outcomes else INSUFFICIENT_DATA if INSUFFICIENT_DATA in outcomes else PASS
    return Verdict(outcome, suite.name, findings, _summary(outcome, findings), identity)


def scorecard_sha256(scorecard: Scorecard) -> str:
    """Return the hash that a verdict names its scorecard by: that of its canonical JSON, wherever it is kept."""
    try:
        return sha256_bytes(canonical_json(scorecard.to_json()).encode("utf-8"))
    except ValueError as error:  # NaN and infinity, which JSON has not
        raise BadInput(
            f"scorecard of {scorecard.suite}", "holds a figure that is not a number", "measure the bundle again"
        ) from error


def _same_terms(scorecard: Scorecard, suite: SuiteConfig) -> None:
    terms = [
        ("suite", scorecard.suite, suite.name),
        ("split", scorecard.split, suite.split),
        ("confidence", scorecard.confidence, suite.confidence),
    ]
    if suite.split_sha256:
        terms.append(("held-out set", scorecard.split_sha256, suite.split_sha256))
    for what, found, expected in terms:
        if found != expected:
            raise BadInput(
                f"suite {suite.name}", f"expected a scorecard of {what} {expected}, found {found}", "measure the bundle again"
            )


@dataclass(frozen=True)
class Bound:
    """A strict bound on one metric."""

    metric: str
    side: Literal["below", "above"]
    value: float

    @property
    def rule(self) -> str:
        """Say the bound as a person would write it."""
        return f"{LABELS[self.metric]} {'<' if self.side == 'below' else '>'} {_percent(self.value)}"

    def holds(self, value: float | None) -> bool:
        """Compare strictly; nothing and NaN never hold."""
        if value is None or math.isnan(value):
            return False
        return value < self.value if self.side == "below" else value > self.value

    def worse_end(self, figure: Figure) -> float | None:
        """Return the end of the interval that hurts."""
        return figure.high if self.side == "below" else figure.low


def _threshold_findings(scorecard: Scorecard, suite: SuiteConfig) -> Iterator[Finding]:
    nothing = Figure(None, None, None, 0)
    for threshold in suite.thresholds:
        figure = scorecard.figures.get(threshold.metric, nothing)
        if threshold.below is not None:
            yield _judge_bound(Bound(threshold.metric, "below", threshold.below), figure, scorecard.samples, suite)
        if threshold.above is not None:
            yield _judge_bound(Bound(threshold.metric, "above", threshold.above), figure, scorecard.samples, suite)


def _judge_bound(bound: Bound, figure: Figure, samples: int, suite: SuiteConfig) -> Finding:
    if figure.value is None or math.isnan(figure.value):
        return _finding(bound, INSUFFICIENT_DATA, figure, f"{bound.rule}: nothing was measured ({samples} samples)")
    said = f"{bound.rule}: {_said(figure, suite.confidence)} on {samples} plates"
    if samples < suite.min_samples:
        leaning = "so far it holds" if bound.holds(figure.value) else "so far it does not hold"
        more = max(suite.min_samples - samples, _missing(bound, figure, samples, suite) or 0)
        return _finding(
            bound,
            INSUFFICIENT_DATA,
            figure,
            f"{said}; {leaning}, but at least {suite.min_samples} are asked for; {_settle(more)}",
        )
    if not bound.holds(figure.value):
        return _finding(bound, FAIL, figure, f"{said}; it does not hold")
    if bound.holds(bound.worse_end(figure)):
        return _finding(bound, PASS, figure, f"{said}; it holds")
    more_known = _missing(bound, figure, samples, suite)
    advice = _settle(more_known) if more_known else "more labelled plates of other groups would settle it"
    return _finding(bound, INSUFFICIENT_DATA, figure, f"{said}; the interval reaches across the bound; {advice}")


def _settle(more: int) -> str:
    return f"about {more:,} more labelled plates would settle it"


def _missing(bound: Bound, figure: Figure, samples: int, suite: SuiteConfig) -> int | None:
    """Estimate how many more samples bring the interval clear of the bound at the observed rate; None if no number can."""
    if not bound.holds(figure.value) or bound.holds(bound.worse_end(figure)):
        return None
    assert figure.value is not None
    if bound.metric == "cer":
        end = bound.worse_end(figure)
        # An interval shrinks with the square root of the count.
        needed = None if end is None else math.floor(samples * ((end - figure.value) / (bound.value - figure.value)) ** 2) + 1
    else:
        needed = samples_needed(figure.value, bound.value, suite.confidence)
    return None if needed is None else max(1, needed - samples)


def _floor_findings(scorecard: Scorecard, suite: SuiteConfig) -> Iterator[Finding]:
    judged = {
        name: (figures["exact_match"], suite.slice_floors[name.partition("=")[0]])
        for name, figures in scorecard.slices.items()
        if name.partition("=")[0] in suite.slice_floors and figures["exact_match"].count >= suite.min_slice_samples
    }
    # Among 50 states one is 2.5 standard errors low by chance alone: the confidence is shared out.
    confidence = suite.confidence ** (1 / max(1, len(judged)))
    for name, (figure, floor) in judged.items():
        yield _judge_floor(name, figure, floor, confidence)
    for column, floor in suite.slice_floors.items():
        if not any(name.partition("=")[0] == column for name in judged):
            problem = (
                f"no slice of {column} has {suite.min_slice_samples} samples, so its floor of {_percent(floor)} was not judged"
            )
            yield Finding(f"{column}: exact match > {_percent(floor)}", INSUFFICIENT_DATA, None, None, None, floor, 0, problem)


def _judge_floor(name: str, figure: Figure, floor: float, confidence: float) -> Finding:
    bound = Bound("exact_match", "above", floor)
    assert figure.value is not None  # it has samples
    low, high = wilson(figure.value * figure.count, figure.count, confidence)
    shared = Figure(figure.value, low, high, figure.count)
    said = f"{name}: {bound.rule}: {_said(shared, confidence)} on {figure.count} plates"
    if bound.holds(figure.value):
        return _finding(bound, PASS, shared, f"{said}; it holds", name)
    if high < floor:
        return _finding(bound, FAIL, shared, f"{said}; it does not hold", name)
    needed = samples_needed(figure.value, floor, confidence)
    advice = _settle(needed - figure.count) if needed else "more labelled plates would settle it"
    return _finding(bound, INSUFFICIENT_DATA, shared, f"{said}; it lies below, but that may be chance; {advice}", name)


def _finding(bound: Bound, outcome: str, figure: Figure, message: str, of: str = "") -> Finding:
    rule = f"{of}: {bound.rule}" if of else bound.rule
    return Finding(rule, outcome, figure.value, figure.low, figure.high, bound.value, figure.count, message)


def _said(figure: Figure, confidence: float) -> str:
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2%} (no interval: too few groups)"
    return f"{figure.value:.2%} ({_percent(confidence)} interval {figure.low:.2%} to {figure.high:.2%})"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _summary(outcome: str, findings: list[Finding]) -> str:
    if outcome == PASS:
        return f"all {len(findings)} bounds hold"
    return "; ".join(finding.message for finding in findings if finding.outcome == outcome)
