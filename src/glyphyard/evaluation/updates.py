"""Putting another run in a baseline's place: what would change, then who, why, when and from which run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.records import Scorecard, Verdict
from glyphyard.evaluation.baseline import (
    Baseline,
    Outcomes,
    Update,
    load_baseline,
    load_outcomes,
    reads_text,
    same_crops,
    write_baseline,
)
from glyphyard.evaluation.held_out import difference
from glyphyard.evaluation.paired import error_rate_difference, exact_match_difference
from glyphyard.evaluation.words import amount, change, label

TERMS = ("suite", "split", "equivalences", "case", "alphabet")
REPEATS = 2000


@dataclass(frozen=True)
class Proposal:
    """A run that would become the baseline in `path`, and what would change, one line each."""

    path: Path
    run: Path
    scorecard: Scorecard
    outcomes: Outcomes | None
    history: list[Update]
    changes: list[str]


def propose(path: Path, run: Path) -> Proposal:
    """Hold a run's scorecard and readings against the baseline file that is there (or against nothing)."""
    if not (run / "scorecard.json").is_file():
        raise BadInput(str(run), "has no scorecard.json", "name a run that was evaluated, or the --out folder of an evaluation")
    scorecard = Scorecard.read(run / "scorecard.json")
    outcomes = load_outcomes(run / "samples.parquet") if reads_text(scorecard) else None
    if not scorecard.held_out or any(not row.image_sha256 for row in (outcomes.rows if outcomes else ())):
        raise BadInput(str(run), "was evaluated by an older version, which noted no image hashes", "evaluate it again")
    if path.is_file():
        old, before = load_baseline(str(path))
        changes = [*_verdict_of(run), *_changes(old, before, scorecard, outcomes)]
        return Proposal(path, run, scorecard, outcomes, old.updates, changes)
    new = [f"{label(m)}: {amount(m, f.value)}" for m, f in scorecard.figures.items() if not m.startswith("raw_")]
    first = f"a new baseline of {scorecard.samples:,} crops in {scorecard.groups:,} groups"
    return Proposal(path, run, scorecard, outcomes, [], [*_verdict_of(run), first, *new])


def accept(proposal: Proposal, by: str, why: str) -> Baseline:
    """Write the baseline; a reason is not optional."""
    if not why.strip():
        raise BadInput("--why", "says nothing", "say why this run becomes the baseline")
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    card = proposal.scorecard
    update = Update(now, by, why.strip(), proposal.run.name, card.bundle_sha256, card.figures)
    return write_baseline(proposal.path, card, proposal.outcomes, [*proposal.history, update])


def _verdict_of(run: Path) -> list[str]:
    if not (run / "verdict.json").is_file():
        return ["this run has not been judged"]
    verdict = Verdict.read(run / "verdict.json")
    return [] if verdict.outcome == "PASS" else [f"the gate said {verdict.outcome} of this run"]


def _changes(old: Baseline, before: Outcomes | None, scorecard: Scorecard, after: Outcomes | None) -> list[str]:
    lines = [
        f"{term}: {getattr(old.scorecard, term)!r} → {getattr(scorecard, term)!r}"
        for term in TERMS
        if getattr(old.scorecard, term) != getattr(scorecard, term)
    ]
    for metric, figure in scorecard.figures.items():
        was = old.scorecard.figures.get(metric)
        if not metric.startswith("raw_"):
            lines.append(f"{label(metric)}: {amount(metric, was.value if was else None)} → {amount(metric, figure.value)}")
    if before is None or after is None:
        return lines if old.scorecard.held_out == scorecard.held_out else [*lines, "held-out set: another one"]
    if same_crops(before, after):
        return [*lines, *_paired(before, after, scorecard.confidence)]
    return [*lines, f"held-out set: {difference(before.rows, after.rows)}"]


def _paired(before: Outcomes, after: Outcomes, confidence: float) -> Sequence[str]:
    terms = (after.group, confidence, REPEATS, 0)
    exact = exact_match_difference(before.exact, after.exact, *terms)
    cer = error_rate_difference(before.edits, after.edits, after.characters, *terms)
    return [
        f"on the same {exact.samples:,} crops: {exact.won} newly read, {exact.lost} newly misread, "
        f"exact match {change('exact_match', exact.value)} (p = {exact.p_value:.3g}), CER {change('cer', cer.value)} (p = {cer.p_value:.3g})"
    ]
