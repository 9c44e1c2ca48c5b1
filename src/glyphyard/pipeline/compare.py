"""Two runs on the crops that both have read: paired tests, and which crop went which way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from glyphyard.core.alphabet import text_policy
from glyphyard.core.errors import BadInput
from glyphyard.core.records import Scorecard
from glyphyard.evaluation.paired import Difference, error_rate_difference, exact_match_difference, holm
from glyphyard.evaluation.present import policy_words
from glyphyard.evaluation.samples import Sample, load_samples
from glyphyard.evaluation.scoring import NO_VALUE, Scores, score, slice_value
from glyphyard.evaluation.words import amount, change
from glyphyard.report.diff import Comparison, PairedCrop, TestLine

REPEATS = 2000
FEWEST_IN_SLICE, MOST_SLICES = 10, 12


def compare_runs(run_a: Path, run_b: Path) -> Comparison:
    """Compare two evaluated runs; runs without a common held-out crop are a `BadInput`."""
    (card_a, samples_a), (card_b, samples_b) = _evaluated(run_a), _evaluated(run_b)
    pairs = _matched(samples_a, samples_b)
    if not pairs:
        same = (
            card_a.dataset_fingerprint == card_b.dataset_fingerprint
        )  # crops have been known by their low sides, too, since lately
        remedy = "one was evaluated by an older version: evaluate it again" if same else "compare runs on the same held-out set"
        raise BadInput(f"{run_a.name} and {run_b.name}", "have no held-out crop in common", remedy)
    notes, card = [], card_b
    if (card_a.equivalences, card_a.case) != (card_b.equivalences, card_b.case):
        notes.append("The two suites count different characters as the same: here everything counts as written.")
        policy: tuple[list[str], str] = ([], "keep")
    else:
        policy = (card.equivalences, card.case)
    a, b = (score([pair[i] for pair in pairs], *policy) for i in (0, 1))
    crops = [_crop(one, other) for one, other in pairs]
    differ = [x.read != y.read for x, y in pairs]
    return Comparison(
        run_a=run_a,
        run_b=run_b,
        crops=len(pairs),
        only_a=len(samples_a) - len(pairs),
        only_b=len(samples_b) - len(pairs),
        policy="" if notes else policy_words(card),
        fold=text_policy(*policy),
        tests=_tests(a, b, card.confidence),
        slices=_slices([other for _, other in pairs], a, b, card),
        lost=[crop for i, crop in enumerate(crops) if a.exact[i] and not b.exact[i]],
        won=[crop for i, crop in enumerate(crops) if b.exact[i] and not a.exact[i]],
        other=[crop for i, crop in enumerate(crops) if not a.exact[i] and not b.exact[i] and differ[i]],
        both_right=int((a.exact & b.exact).sum()),
        notes=notes,
    )


def _evaluated(run: Path) -> tuple[Scorecard, list[Sample]]:
    for name in ("scorecard.json", "samples.parquet"):
        if not (run / name).is_file():
            raise BadInput(str(run), f"has no {name}", "evaluate this run first")
    return Scorecard.read(run / "scorecard.json"), load_samples(run / "samples.parquet")


def _matched(a: list[Sample], b: list[Sample]) -> list[tuple[Sample, Sample]]:
    """Return the crops of both, matched by image and text; of several alike each is matched once."""
    waiting: dict[tuple[str, str], list[Sample]] = {}
    for sample in reversed(a):
        waiting.setdefault((sample.image_sha256, sample.truth), []).append(sample)
    return [(same.pop(), sample) for sample in b if (same := waiting.get((sample.image_sha256, sample.truth)))]


def _crop(a: Sample, b: Sample) -> PairedCrop:
    sure_a, sure_b = (None if math.isnan(sample.confidence) else sample.confidence for sample in (a, b))
    return PairedCrop(b.id, b.path, b.truth, a.read, b.read, sure_a, sure_b)


def _tests(a: Scores, b: Scores, confidence: float) -> list[TestLine]:
    terms = (b.group, confidence, REPEATS, 0)
    exact = exact_match_difference(a.exact, b.exact, *terms)
    cer = error_rate_difference(a.edits, b.edits, b.characters, *terms)
    characters = max(1, int(b.characters.sum()))
    return [
        _line("exact match", "exact_match", float(a.exact.mean()), float(b.exact.mean()), exact, confidence, exact.p_value),
        _line("CER", "cer", a.edits.sum() / characters, b.edits.sum() / characters, cer, confidence, cer.p_value),
    ]


def _slices(samples: list[Sample], a: Scores, b: Scores, card: Scorecard) -> list[TestLine]:
    found: list[tuple[str, float, float, Difference]] = []
    for column in dict.fromkeys(name.partition("=")[0] for name in card.slices):
        values = np.array([slice_value(column)(sample) for sample in samples], dtype=object)
        for value in sorted(set(values) - {NO_VALUE}):
            at = np.flatnonzero(values == value)
            if len(at) >= FEWEST_IN_SLICE:
                tested = exact_match_difference(a.exact[at], b.exact[at], b.group[at], card.confidence, REPEATS, 0)
                found.append((f"{column}={value} ({len(at)})", float(a.exact[at].mean()), float(b.exact[at].mean()), tested))
    adjusted = holm([difference.p_value for *_, difference in found])
    order = sorted(range(len(found)), key=lambda i: -abs(found[i][3].value))[:MOST_SLICES]
    return [_line(found[i][0], "exact_match", *found[i][1:], card.confidence, adjusted[i]) for i in order]


def _line(name: str, metric: str, a: float, b: float, difference: Difference, confidence: float, p_value: float) -> TestLine:
    interval = "–"
    if difference.low is not None and difference.high is not None:
        interval = f"{change(metric, difference.low)} … {change(metric, difference.high)}"
    if difference.value == 0:
        meaning = "no difference"
    elif p_value < 1 - confidence:
        meaning = "B is better" if (difference.value > 0) == (metric == "exact_match") else "B is worse"
    else:
        meaning = "chance explains it"
    return TestLine(
        name, amount(metric, a), amount(metric, b), change(metric, difference.value), interval, f"{p_value:.3g}", meaning
    )
