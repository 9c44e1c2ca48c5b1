"""What a validation decides: is it the best, is it time to stop, must the learning rate drop, is a bound crossed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from glyphyard.core.errors import BadInput
from glyphyard.recipe.stage import GuardConfig, StageConfig
from glyphyard.tasks.base import Better

GRAVEST = ("fail", "stop", "rollback")


@dataclass
class Standing:
    """How a stage stands after its validations; plain values, so that a checkpoint can hold them."""

    best_epoch: int = 0  # from 1; 0: none yet, or what the stage started from
    best: dict[str, float | None] = field(default_factory=dict)
    mark: float | None = None  # the value that progress is measured from, as "lower is better"
    stale: int = 0  # validations without progress
    stale_since_drop: int = 0
    drops: int = 0  # of the learning rate, plateau schedule

    def judge(self, stage: StageConfig, names: Mapping[str, Better], metrics: Mapping[str, float], epoch: int) -> bool:
        """Take in a validation and say whether it is the best so far; equal ones are told apart by their loss."""
        value, loss = (signed(metrics[name], names[name]) for name in (stage.select, "loss"))
        improves = not math.isnan(value) and self._key(stage, names) > (value, loss)
        min_delta = stage.early_stop.min_delta if stage.early_stop else 0.0
        if not math.isnan(value) and (self.mark is None or value < self.mark - min_delta):
            self.mark, self.stale, self.stale_since_drop = value, 0, 0
        else:
            self.stale, self.stale_since_drop = self.stale + 1, self.stale_since_drop + 1
        if self.stale_since_drop > stage.schedule.patience_epochs:
            self.drops, self.stale_since_drop = self.drops + 1, 0
        if improves:
            self.best_epoch, self.best = epoch, {k: without_nan(v) for k, v in metrics.items()}
        return improves

    def out_of_patience(self, stage: StageConfig) -> bool:
        """Say whether early stopping is due."""
        return stage.early_stop is not None and self.stale >= stage.early_stop.patience_epochs

    def _key(self, stage: StageConfig, names: Mapping[str, Better]) -> tuple[float, float]:
        value, loss = (self.best.get(name) for name in (stage.select, "loss"))
        if value is None:
            return math.inf, math.inf
        return signed(value, names[stage.select]), math.inf if loss is None else loss


def crossed(
    guards: tuple[GuardConfig, ...],
    metrics: Mapping[str, float],
    best: Mapping[str, float | None] | None = None,
    names: Mapping[str, Better] | None = None,
) -> tuple[GuardConfig, str] | None:
    """Return the gravest guard whose bound a validation crossed, with a sentence about it; NaN crosses every bound.

    `best` are the metrics of the stage's best epoch so far, `names` which way they are good; `worse_by` compares with them. A
    `rollback` to a best epoch that is worse itself would win nothing: that guard is passed over.
    """
    for guard in sorted(guards, key=lambda guard: GRAVEST.index(guard.action)):
        known, better = (best or {}).get(guard.metric), (names or {}).get(guard.metric, "higher")
        why = _crossing(guard, metrics[guard.metric], known, better)
        back_is_worse = known is not None and signed(known, better) > signed(metrics[guard.metric], better)
        if why and not (guard.action == "rollback" and back_is_worse):
            return guard, why
    return None


def _crossing(guard: GuardConfig, value: float, known: float | None, better: Better) -> str:
    """Say how a value crosses a guard's bound; "" where it does not."""
    if guard.worse_by is not None and known is not None and not signed(value, better) - signed(known, better) <= guard.worse_by:
        return f"{guard.metric} {value:.4g} is worse than the best epoch's {known:.4g} by more than {guard.worse_by:g}"
    if guard.min is not None and not value >= guard.min:
        return f"{guard.metric} {value:.4g} is below {guard.min:g}"
    if guard.max is not None and not value <= guard.max:
        return f"{guard.metric} {value:.4g} is above {guard.max:g}"
    return ""


def reached(guard: GuardConfig, metrics: Mapping[str, float], names: Mapping[str, Better]) -> bool:
    """Say whether a guard was crossed on its good side: as a goal, not as a fault."""
    value = metrics[guard.metric]
    if names[guard.metric] == "higher":
        return guard.max is not None and value > guard.max
    return guard.min is not None and value < guard.min


def check_names(stage: StageConfig, names: Mapping[str, Better]) -> None:
    """Refuse metrics in `select` and `guards` that the task does not measure."""
    for where, metric in [("select", stage.select), *((f"guards.{i}.metric", g.metric) for i, g in enumerate(stage.guards))]:
        if metric not in names:
            raise BadInput(f"stage `{stage.name}`: {where}", f"expected one of {sorted(names)}, found {metric!r}")


def signed(value: float, better: Better) -> float:
    """Return the value such that lower is better."""
    return value if better == "lower" else -value


def without_nan(value: float) -> float | None:
    """Return the value, None for NaN and infinity, which JSON cannot say."""
    return value if math.isfinite(value) else None
