"""Scorecard + suite → Verdict: PASS, FAIL or INSUFFICIENT_DATA.

A strict bound on a figure passes if the whole confidence interval satisfies it, fails if the figure itself does not, and
is undecided otherwise: the figure is good enough, but another set of this size could well say the opposite. Fewer samples
than `min_samples` decide nothing either way. Slices' floors are in floors.py, what a baseline asks for in regression.py.
A figure without a value never passes; a bound on a metric that the scorecard does not report is a mistake of the suite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from glyphyard.core.errors import BadInput, ExitCode
from glyphyard.core.files import canonical_json, sha256_bytes
from glyphyard.core.records import Figure, Finding, Scorecard, Verdict
from glyphyard.evaluation.floors import floor_findings
from glyphyard.evaluation.wilson import samples_needed
from glyphyard.evaluation.words import bound_words, label, settle, with_interval
from glyphyard.recipe.suite import SHARES_OF_SAMPLES, SuiteConfig

PASS, FAIL, INSUFFICIENT_DATA = "PASS", "FAIL", "INSUFFICIENT_DATA"


def exit_code(verdict: Verdict) -> ExitCode:
    """Return what the shell is told: 0 PASS, 1 FAIL, 3 INSUFFICIENT_DATA."""
    return {PASS: ExitCode.OK, FAIL: ExitCode.GATE_FAILED, INSUFFICIENT_DATA: ExitCode.INSUFFICIENT_DATA}[verdict.outcome]


def judge(scorecard: Scorecard, suite: SuiteConfig, regressions: Sequence[Finding] = (), baseline: str | None = None) -> Verdict:
    """Hold a scorecard against a suite; one that was made for another suite, set or confidence is a `BadInput`.

    `regressions`: what a comparison with the baseline of that name found (`regression.regression_findings`).
    """
    _same_terms(scorecard, suite)
    _reported(scorecard, suite)
    identity = scorecard_sha256(scorecard)
    findings = [*_threshold_findings(scorecard, suite), *floor_findings(scorecard, suite), *regressions]
    if not findings:
        raise BadInput(f"suite {suite.name}", "has no threshold to judge by", "state `below` or `above`")
    outcomes = {finding.outcome for finding in findings}
    outcome = FAIL if FAIL in outcomes else INSUFFICIENT_DATA if INSUFFICIENT_DATA in outcomes else PASS
    return Verdict(outcome, suite.name, findings, _summary(outcome, findings), identity, baseline)


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
    if suite.held_out:
        terms.append(("held-out set", scorecard.held_out, suite.held_out))
    for what, found, expected in terms:
        if found != expected:
            raise BadInput(
                f"suite {suite.name}", f"expected a scorecard of {what} {expected}, found {found}", "measure the bundle again"
            )


def _reported(scorecard: Scorecard, suite: SuiteConfig) -> None:
    asked = [threshold.metric for threshold in suite.thresholds] + list(suite.regression.tolerance)
    for metric in asked:
        if metric not in scorecard.figures:
            raise BadInput(
                f"suite {suite.name}",
                f"asks for `{metric}`, which this scorecard does not report",
                f"it reports {', '.join(sorted(scorecard.figures)) or 'nothing: measure again'}",
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
        return f"{label(self.metric)} {'<' if self.side == 'below' else '>'} {bound_words(self.metric, self.value)}"

    def holds(self, value: float | None) -> bool:
        """Compare strictly; nothing and NaN never hold."""
        if value is None or math.isnan(value):
            return False
        return value < self.value if self.side == "below" else value > self.value

    def worse_end(self, figure: Figure) -> float | None:
        """Return the end of the interval that hurts."""
        return figure.high if self.side == "below" else figure.low


def _threshold_findings(scorecard: Scorecard, suite: SuiteConfig) -> Iterator[Finding]:
    for threshold in suite.thresholds:
        figure = scorecard.figures[threshold.metric]
        if threshold.below is not None:
            yield _judge_bound(Bound(threshold.metric, "below", threshold.below), figure, scorecard, suite)
        if threshold.above is not None:
            yield _judge_bound(Bound(threshold.metric, "above", threshold.above), figure, scorecard, suite)


def _judge_bound(bound: Bound, figure: Figure, scorecard: Scorecard, suite: SuiteConfig) -> Finding:
    # Plates where frames voted, some crops where not all were measured; what characters and boxes are counted in comes by the sample.
    own = bound.metric in SHARES_OF_SAMPLES or bound.metric == "export_word_acc_cost"
    samples = figure.count if own and figure.value is not None else scorecard.samples
    unit = "plates" if bound.metric.endswith("voted_word_acc") else suite.unit

    def found(outcome: str, message: str) -> Finding:
        return Finding(bound.rule, outcome, figure.value, figure.low, figure.high, bound.value, figure.count, message)

    if figure.value is None or math.isnan(figure.value):
        return found(INSUFFICIENT_DATA, f"{bound.rule}: nothing was measured ({samples} samples)")
    said = f"{bound.rule}: {with_interval(bound.metric, figure, suite.confidence)} on {samples} {unit}"
    if samples < suite.min_samples:
        leaning = "so far it holds" if bound.holds(figure.value) else "so far it does not hold"
        advice = settle(max(suite.min_samples - samples, _missing(bound, figure, samples, suite) or 0), unit)
        return found(INSUFFICIENT_DATA, f"{said}; {leaning}, but at least {suite.min_samples} are asked for; {advice}")
    if not bound.holds(figure.value):
        return found(FAIL, f"{said}; it does not hold")
    if bound.holds(bound.worse_end(figure)):
        return found(PASS, f"{said}; it holds")
    more = _missing(bound, figure, samples, suite)
    advice = settle(more, unit) if more else f"more labelled {unit} of other groups would settle it"
    return found(INSUFFICIENT_DATA, f"{said}; the interval reaches across the bound; {advice}")


def _missing(bound: Bound, figure: Figure, samples: int, suite: SuiteConfig) -> int | None:
    """Estimate how many more samples bring the interval clear of the bound at the observed rate; None if no number can."""
    if not bound.holds(figure.value) or bound.holds(bound.worse_end(figure)):
        return None
    assert figure.value is not None
    needed: int | None
    if bound.metric in SHARES_OF_SAMPLES:
        independent = samples_needed(figure.value, bound.value, suite.confidence)
        # More crops of the same kind: as many of them make one independent sample as do now.
        needed = None if independent is None else math.ceil(independent * samples / (figure.effective or samples))
    else:
        end = bound.worse_end(figure)
        # An interval shrinks with the square root of the count.
        needed = None if end is None else math.floor(samples * ((end - figure.value) / (bound.value - figure.value)) ** 2) + 1
    return None if needed is None else max(1, needed - samples)


def _summary(outcome: str, findings: list[Finding]) -> str:
    if outcome == PASS:
        return f"all {len(findings)} bounds hold"
    return "; ".join(finding.message for finding in findings if finding.outcome == outcome)
