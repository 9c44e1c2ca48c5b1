"""What a model lost against the baseline on the same crops: findings for the gate.

Blocked is a loss beyond chance (two-sided test at the suite's confidence: McNemar's exact test over groups for exact match, a
paired bootstrap over groups for the CER), and a loss beyond the suite's tolerance, chance or not. Slices are tested together,
with Holm's correction. Figures without outcomes of each sample (mAP, PSNR) are held against the tolerance alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from glyphyard.core.records import Finding, Scorecard
from glyphyard.evaluation.baseline import Baseline, Outcomes, refuse_other_terms
from glyphyard.evaluation.paired import Difference, error_rate_difference, exact_match_difference, holm
from glyphyard.evaluation.scoring import NO_VALUE, slice_value
from glyphyard.evaluation.words import change, label
from glyphyard.recipe.suite import LOWER_IS_BETTER, SuiteConfig

PAIRED = ("cer", "exact_match")


def regression_findings(
    baseline: Baseline, before: Outcomes | None, scorecard: Scorecard, after: Outcomes | None, suite: SuiteConfig
) -> list[Finding]:
    """Compare `after` with the baseline's readings of the same crops; other terms or another set is a `BadInput`."""
    refuse_other_terms(baseline, before, scorecard, after)
    if before is None or after is None:
        return list(_unpaired(baseline, scorecard, suite))
    return [
        *(_paired(metric, difference_of(metric, before, after, suite), suite, baseline.name) for metric in PAIRED),
        *_unpaired(baseline, scorecard, suite),
        *_slices(before, after, suite, baseline.name),
    ]


def difference_of(metric: str, before: Outcomes, after: Outcomes, suite: SuiteConfig) -> Difference:
    """Return the difference of CER or exact match between two models; the rows of both are the same, in the same order."""
    terms = (suite.confidence, suite.bootstrap, suite.seed)
    if metric == "cer":
        return error_rate_difference(before.edits, after.edits, after.characters, after.group, *terms)
    return exact_match_difference(before.exact, after.exact, after.group, *terms)


def is_loss(metric: str, difference: Difference, confidence: float) -> bool:
    """Tell whether a difference for the worse is more than chance explains."""
    if metric == "cer" and difference.low is not None:
        return difference.low > 0
    return difference.value * _worse(metric) > 0 and difference.p_value < 1 - confidence


def _worse(metric: str) -> int:
    return 1 if metric in LOWER_IS_BETTER else -1


def _paired(metric: str, difference: Difference, suite: SuiteConfig, name: str) -> Finding:
    tolerance = suite.regression.tolerance.get(metric)
    allowed = 0.0 if tolerance is None else tolerance
    rule = f"{label(metric)} not worse than {name}"
    between = (
        f" ({100 * suite.confidence:.4g}% interval {change(metric, difference.low)} to {change(metric, difference.high)})"
        if difference.low is not None and difference.high is not None
        else ""
    )
    said = (
        f"{rule}: {change(metric, difference.value)}{between} on the same {difference.samples} {suite.unit}; "
        f"{difference.won} read better, {difference.lost} worse, p = {difference.p_value:.3g}"
    )
    loss = difference.value * _worse(metric)
    if is_loss(metric, difference, suite.confidence):
        outcome, reason = "FAIL", "a loss beyond chance"
    elif tolerance is not None and loss > tolerance:
        outcome, reason = "FAIL", f"a loss beyond the tolerance of {100 * tolerance:.4g} points"
    else:
        outcome, reason = "PASS", "no loss" if loss <= 0 else "a loss that chance explains"
    message = f"{said}; {reason}"
    bound = allowed * _worse(metric)
    return Finding(
        rule, outcome, difference.value, difference.low, difference.high, bound, difference.samples, message, "regression"
    )


def _unpaired(baseline: Baseline, scorecard: Scorecard, suite: SuiteConfig) -> Iterator[Finding]:
    for metric, tolerance in suite.regression.tolerance.items():
        old = baseline.scorecard.figures.get(metric)
        new = scorecard.figures.get(metric)
        if metric in PAIRED or old is None or new is None or old.value is None or new.value is None:
            continue
        value = new.value - old.value
        outcome = "FAIL" if value * _worse(metric) > tolerance else "PASS"
        rule = f"{label(metric)} not worse than {baseline.name}"
        message = (
            f"{rule}: {change(metric, value)}; the tolerance is {change(metric, tolerance).lstrip('+')}, whatever chance says"
        )
        yield Finding(rule, outcome, value, None, None, tolerance * _worse(metric), new.count, message, "regression")


def _slices(before: Outcomes, after: Outcomes, suite: SuiteConfig, name: str) -> Iterator[Finding]:
    found: dict[str, Difference] = {}
    for column in suite.regression.slices:
        values = np.array([slice_value(column)(sample) for sample in after.samples], dtype=object)
        for value in sorted(set(values) - {NO_VALUE}):
            rows = np.flatnonzero(values == value)
            if suite.min_slice_samples <= len(rows) < len(values):  # a slice that is everything has been tested
                found[f"{column}={value}"] = exact_match_difference(
                    before.exact[rows], after.exact[rows], after.group[rows], suite.confidence, suite.bootstrap, suite.seed
                )
    adjusted = holm([difference.p_value for difference in found.values()])
    for (slice_, difference), p in zip(found.items(), adjusted, strict=True):
        lost = difference.value < 0 and p < 1 - suite.confidence
        rule = f"{slice_}: exact match not worse than {name}"
        message = (
            f"{rule}: {change('exact_match', difference.value)} on the same {difference.samples} {suite.unit}; "
            f"{difference.won} read better, {difference.lost} worse, p = {p:.3g} among {len(found)} slices"
        )
        yield Finding(
            rule, "FAIL" if lost else "PASS", difference.value, difference.low, difference.high, 0.0, difference.samples,
            f"{message}; {'a loss beyond chance' if lost else 'no loss beyond chance'}", "regression",
        )  # fmt: skip
