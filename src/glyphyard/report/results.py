"""The sections about how good it is: verdict, headlines, confusions, slices, confidence; a section without data is None."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from glyphyard.core.records import Figure, Finding, Scorecard, Verdict
from glyphyard.report.catalogue import page_of
from glyphyard.report.charts import Bound, Series, calibration_chart, heat_map, interval_bar, line_chart
from glyphyard.report.read import RunFiles
from glyphyard.report.svg import percent
from glyphyard.report.wording import amount, duration, rate

OUTCOMES = {"PASS": "pass", "FAIL": "fail", "INSUFFICIENT_DATA": "unsure"}
FIGURE_NAMES = {
    "cer": "Character error rate",
    "exact_match": "Exact match",
    "length_accuracy": "Right length",
    "word_acc": "Words read after super-resolution",
    "bicubic_word_acc": "Words read after bicubic",
    "hr_word_acc": "Words read at high resolution",
    "as_is_word_acc": "Words read in crops as they are",
    "char_acc": "Characters read",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "export_word_acc_cost": "Words lost by exporting",
    "map50": "mAP@0.5",
    "mask_map50": "mAP@0.5 of masks",
    "mask_map": "mAP@0.5:0.95 of masks",
    "map": "mAP@0.5:0.95",
    "precision": "Precision",
    "recall": "Recall",
}
MOST_CHARACTERS, MOST_PAIRS, MOST_SLICES = 24, 12, 24
FEWEST_KEPT = 20  # crops under a point of the reject curve
KEPT_SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
NOTHING = Figure(None, None, None, 0)


def verdict_of(run: RunFiles) -> dict[str, Any]:
    """The gate's outcome in words, and each finding with its interval bar."""
    if run.verdict is None:
        said = f"The run got as far as {_last_step(run)}; the gate has not judged it."
        return {"outcome": "NO VERDICT", "tone": "none", "message": said, "findings": []}
    verdict = run.verdict
    tone = OUTCOMES.get(verdict.outcome, "none")
    findings = [_finding(f) for f in verdict.findings]
    return {"outcome": verdict.outcome.replace("_", " "), "tone": tone, "message": _summary(verdict), "findings": findings}


def _summary(verdict: Verdict) -> str:
    """The verdict's message, unless it only repeats the findings that stand below it."""
    same = [f.message for f in verdict.findings if f.outcome == verdict.outcome]
    if not same or verdict.message != "; ".join(same):
        return verdict.message
    of = f"{len(same)} of {len(verdict.findings)} bounds" if len(verdict.findings) > 1 else "the only bound"
    return f"{of} cannot be decided with these samples" if verdict.outcome == "INSUFFICIENT_DATA" else f"Not met: {of}"


def _finding(finding: Finding) -> dict[str, Any]:
    bound = Bound(finding.threshold, ">" in finding.rule)
    bar = None
    # A regression's rule names no side, a figure in dB is no percentage: neither has a bar.
    if finding.value is not None and finding.kind != "regression" and finding.threshold <= 1:
        figure = Figure(finding.value, finding.low, finding.high, finding.count)
        bar = interval_bar(figure, domain=_domain(finding, bound.above), bound=bound, labels=True)
    tone = OUTCOMES.get(finding.outcome, "none")
    return {"outcome": finding.outcome.replace("_", " "), "tone": tone, "message": finding.message, "bar": bar}


def _domain(finding: Finding, above: bool) -> tuple[float, float]:
    known = [v for v in (finding.value, finding.low, finding.high, finding.threshold) if v is not None]
    low, high = min(known), max(known)
    if low < 0:  # a gain or a cost, which lies about nothing: from there perfection is too far away to show with it
        margin = (high - low) * 0.2
        return math.floor((low - margin) * 100) / 100, math.ceil((high + margin) * 100) / 100
    if above:  # near one: show what lies between the worst and perfection
        return math.floor(max(0.0, low - 0.02) * 10) / 10, max(1.0, high)
    return 0.0, math.ceil(high * 1.2 * 100) / 100


def headlines_of(run: RunFiles) -> list[dict[str, str]]:
    """The few figures that a person asks for first."""
    tiles = []
    if run.scorecard:
        card = run.scorecard
        for name in page_of(run).headlines:
            if (figure := card.figures.get(name)) and figure.value is not None:
                note = " · ".join(filter(None, (_between(figure, name), _as_written(card, name, figure))))
                tiles.append({"name": FIGURE_NAMES[name], "value": amount(name, figure.value), "note": note})
        groups = f" in {card.groups:,} groups" if card.groups and card.groups != card.samples else ""
        tiles.append({"name": "Held-out crops", "value": f"{card.samples:,}", "note": f"{card.split} split{groups}"})
        tiles += _speed_tiles(card.speed)
    if trained := [s.checkpoint for s in run.stages if s.checkpoint]:
        seconds = sum(c.seconds for c in trained)
        note = trained[0].chosen if len(trained) == 1 else f"{len(trained)} stages"
        tiles.append({"name": "Training", "value": duration(seconds), "note": note})
    return tiles


def _between(figure: Figure, name: str) -> str:
    return (
        f"{amount(name, figure.low)} – {amount(name, figure.high)}" if figure.low is not None and figure.high is not None else ""
    )


def _as_written(card: Scorecard, name: str, figure: Figure) -> str:
    """Say the figure without the suite's equivalences, where there are any."""
    raw = card.figures.get(f"raw_{name}")
    if raw is None or not (card.equivalences or card.case == "ignore" or raw.value != figure.value):
        return ""
    return f"as written {rate(raw.value)}"


def _speed_tiles(speed: Mapping[str, float]) -> list[dict[str, str]]:
    p50, rate_ = speed.get("ms_per_crop_p50"), speed.get("crops_per_s")
    if p50 is None and rate_ is None:
        return []
    note = f"{rate_:,.0f} crops/s in batches" if rate_ is not None else ""
    return [{"name": "One crop on this CPU", "value": f"{p50:.1f} ms" if p50 is not None else "–", "note": note}]


def confusion_of(card: Scorecard) -> dict[str, Any]:
    """The characters that were confused as a heat map, and the pairs that were confused most."""
    counts = {(str(a), str(b)): int(n) for a, b, n in card.confusion}
    totals: Counter[str] = Counter()
    for (a, _), n in counts.items():
        totals[a] += n
    wrong = Counter({pair: n for pair, n in counts.items() if pair[0] != pair[1] and n > 0})
    involved: Counter[str] = Counter()
    for (a, b), n in wrong.items():
        involved.update({a: n, b: n})
    kept = sorted((c for c, _ in involved.most_common(MOST_CHARACTERS)), key=lambda c: (c == "", c))
    rows = [c for c in kept if any(wrong[c, d] for d in kept)]
    columns = [c for c in kept if any(wrong[d, c] for d in kept)]
    # Only where right readings are counted too does a share of the true character mean anything.
    whole = any(a == b for a, b in counts)
    pairs = [
        {"true": a or "∅", "read": b or "∅", "count": n, "share": rate(n / totals[a]) if whole and a else "", "kind": _kind(a, b)}
        for (a, b), n in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:MOST_PAIRS]
    ]
    return {
        "svg": heat_map(rows, columns, counts, dict(totals) if whole else {}) if wrong else None,
        "size": len(columns),
        "pairs": pairs,
        "left_out": max(0, len(involved) - MOST_CHARACTERS),
        "errors": sum(wrong.values()),
    }


def _kind(true: str, read: str) -> str:
    return "invented" if not true else "missed" if not read else "confused"


def slices_of(run: RunFiles, card: Scorecard) -> dict[str, Any]:
    """The figures of each slice by column, with the exact match's interval drawn."""
    known = [f["exact_match"] for f in card.slices.values() if "exact_match" in f]
    low = math.floor(min((v for f in known for v in (f.low, f.value) if v is not None), default=0.0) * 10) / 10
    bound = next((Bound(f.threshold, True) for f in _findings(run) if f.rule.startswith("exact match >")), None)
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, figures in card.slices.items():
        column, _, value = name.partition("=")
        exact, cer = figures.get("exact_match", NOTHING), figures.get("cer", NOTHING)
        bar = interval_bar(exact, domain=(low, 1.0), bound=bound) if exact.value is not None else None
        row = {"value": value or "(none)", "count": exact.count or cer.count, "exact": rate(exact.value), "cer": rate(cer.value)}
        groups.setdefault(column, []).append(row | {"bar": bar})
    tables = []
    for column, rows in groups.items():
        ordered = sorted(rows, key=_natural)
        tables.append({"column": column, "rows": ordered[:MOST_SLICES], "more": ordered[MOST_SLICES:]})
    return {"tables": tables, "low": percent(low), "bound": bound is not None}


def _findings(run: RunFiles) -> list[Finding]:
    return run.verdict.findings if run.verdict else []


def _natural(row: Mapping[str, Any]) -> tuple[bool, float, int, str]:
    value = str(row["value"])
    number = float(value) if value.isdigit() else 0.0
    return (not value.isdigit(), number, -int(row["count"]), value)


def confidence_of(card: Scorecard) -> dict[str, Any] | None:
    """The calibration diagram and the reject curve."""
    bins = [(r.get("confidence"), r.get("exact_match"), r.get("count")) for r in card.calibration]
    whole = [(a, b, n) for a, b, n in bins if a is not None and b is not None and n]
    # Of a handful of crops one misreading is a cliff that says nothing.
    curve = [
        r
        for r in card.reject_curve
        if r.get("count", FEWEST_KEPT) >= FEWEST_KEPT and {"coverage", "precision", "threshold"} <= r.keys()
    ]
    if not whole and not curve:
        return None
    total = sum(n for *_, n in whole)
    points = sorted((r["coverage"], r["precision"]) for r in curve)
    reject = line_chart(
        "exact match of what is kept",
        [Series("exact match", points, "s1")],
        form=percent,
        x_label="share of crops kept",
        x_form=percent,
    )
    nearest = [min(curve, key=lambda r: abs(r["coverage"] - share))["threshold"] for share in KEPT_SHARES] if curve else []
    rows = [r for r in sorted(curve, key=lambda r: -r["coverage"]) if r["threshold"] in nearest]
    return {
        "calibration": calibration_chart(sorted(whole)),
        "error": rate(sum(abs(a - b) * n for a, b, n in whole) / total) if total else "–",
        "reject": reject,
        "table": [
            {"threshold": f"{r['threshold']:.3f}", "kept": rate(r["coverage"]), "exact": rate(r["precision"])} for r in rows
        ],
    }


def _last_step(run: RunFiles) -> str:
    return f"step {run.steps[-1].get('name')}" if run.steps else "its start"
