"""What a sweep ends in: a winner that beats the base recipe beyond the noise of seeds, or the sentence that none does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import Any

from glyphyard.core.records import Record
from glyphyard.recipe.sweep import ConfirmConfig, ObjectiveConfig

WINNER, NOISE, NONE = "winner", "inside_the_noise", "no_candidate"


@dataclass(frozen=True)
class Contender(Record):
    """One setting trained with several seeds: its validation figures, and its chance to look this good by luck alone."""

    name: str
    values: dict[str, Any]
    seeds: list[int]
    scores: list[float]
    mean: float | None
    p_value: float | None
    beats_base: bool
    note: str = ""


@dataclass(frozen=True)
class Decision(Record):
    """The outcome, in figures and in a sentence; `noise` is the standard deviation between seeds, pooled over settings."""

    outcome: str
    winner: str | None
    metric: str
    direction: str
    noise: float | None
    base: Contender
    candidates: list[Contender]
    message: str


def decide(
    objective: ObjectiveConfig,
    confirm: ConfirmConfig,
    base: Contender,
    candidates: Sequence[Contender],
    resolution: float,
) -> Decision:
    """Compare each candidate with the base by Dunnett's one-sided test; the best of those that beat it wins.

    Dunnett's test is the one for several settings against a control: its confidence holds for all of them together.
    `resolution` is the least difference that the validation split can show (one crop), the bar where seeds do not differ.
    """
    groups = [base, *(c for c in candidates if len(c.scores) >= 2)]
    noise = _pooled([g.scores for g in groups]) if len(base.scores) >= 2 else None
    judged = [_judged(c, objective, confirm, base, groups, noise, resolution) for c in candidates]
    better = [c for c in judged if c.beats_base]
    sign = 1 if objective.direction == "minimize" else -1
    winner = min(better, key=lambda c: sign * (c.mean or 0.0), default=None)
    outcome = WINNER if winner else NOISE if any(len(c.scores) >= 2 for c in judged) else NONE
    return Decision(
        outcome=outcome,
        winner=winner.name if winner else None,
        metric=objective.metric,
        direction=objective.direction,
        noise=noise,
        base=base,
        candidates=judged,
        message=_message(outcome, winner, objective, confirm, base, judged, noise),
    )


def contender(name: str, values: dict[str, Any], scores: Mapping[int, float], note: str = "") -> Contender:
    """Return a contender that has not been judged yet."""
    ordered = list(scores.values())
    return Contender(name, values, list(scores), ordered, fmean(ordered) if ordered else None, None, False, note)


def _judged(
    one: Contender,
    objective: ObjectiveConfig,
    confirm: ConfirmConfig,
    base: Contender,
    groups: Sequence[Contender],
    noise: float | None,
    resolution: float,
) -> Contender:
    if len(one.scores) < 2 or noise is None or one.mean is None or base.mean is None:
        return Contender(one.name, one.values, one.seeds, one.scores, one.mean, None, False, one.note or "too few seeds finished")
    gain = (base.mean - one.mean) * (1 if objective.direction == "minimize" else -1)
    if noise < 1e-9:  # every seed gave the same figure: nothing to test, one crop is the bar
        return Contender(one.name, one.values, one.seeds, one.scores, one.mean, None, gain > resolution, "seeds do not differ")
    p_value = _dunnett(one, base, groups, objective)
    return Contender(
        one.name, one.values, one.seeds, one.scores, one.mean, round(p_value, 6), p_value < 1 - confirm.confidence, one.note
    )


def _dunnett(one: Contender, base: Contender, groups: Sequence[Contender], objective: ObjectiveConfig) -> float:
    import numpy as np
    from scipy.stats import dunnett

    others = [g for g in groups if g is not base]
    side = "less" if objective.direction == "minimize" else "greater"
    found = dunnett(*(g.scores for g in others), control=base.scores, alternative=side, rng=np.random.default_rng(0))
    return float(found.pvalue[[g.name for g in others].index(one.name)])


def least(p_value: float) -> str:
    """Return a p value as a person writes it: never zero."""
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.2g}"


def _pooled(groups: Sequence[Sequence[float]]) -> float:
    freedom = sum(len(g) - 1 for g in groups)
    return math.sqrt(sum(variance(g) * (len(g) - 1) for g in groups) / freedom)


def _message(
    outcome: str,
    winner: Contender | None,
    objective: ObjectiveConfig,
    confirm: ConfirmConfig,
    base: Contender,
    judged: Sequence[Contender],
    noise: float | None,
) -> str:
    metric, spread = objective.metric, "unknown" if noise is None else f"{noise:.4g}"
    if base.mean is None or noise is None:
        return f"no decision: the base recipe did not finish with two seeds ({base.note or 'see confirm/'}); it stays"
    if winner is not None:
        level = "" if winner.p_value is None else f", p {least(winner.p_value)} against {1 - confirm.confidence:.2g}"
        return (
            f"{winner.name} wins: {metric} {winner.mean:.4g} against the base recipe's {base.mean:.4g} "
            f"(means of {len(winner.scores)} seeds, seed noise ±{spread}{level})"
        )
    if outcome == NONE:
        return (
            f"no candidate: no trial could be confirmed; the base recipe stays ({metric} {base.mean:.4g}, seed noise ±{spread})"
        )
    sign = 1 if objective.direction == "minimize" else -1
    best = min((c for c in judged if c.mean is not None and len(c.scores) >= 2), key=lambda c: sign * (c.mean or 0.0))
    return (
        f"inside the noise: the best, {best.name}, has {metric} {best.mean:.4g} against the base recipe's {base.mean:.4g}, "
        f"with seed noise ±{spread}; the base recipe stays"
    )
