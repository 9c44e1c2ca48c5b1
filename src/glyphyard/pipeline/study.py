"""The persisted study: Optuna samples and halves, its database is the one truth about trials, whatever dies around it."""

from __future__ import annotations

import importlib.util
import math
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from glyphyard.core.errors import BadInput
from glyphyard.core.files import canonical_json
from glyphyard.core.redact import redact
from glyphyard.recipe.sweep import Dimension, SweepConfig
from glyphyard.training.seeds import derive

STORAGE_VARIABLE = "GLYPHYARD_STUDY"
REASON = "reason"


@dataclass(frozen=True)
class TrialRow:
    """A trial as people see it: its values by dotted path, its curve by epoch, and how it ended."""

    number: int
    state: str  # "running", "complete", "stopped" or "failed"
    values: dict[str, Any]
    value: float | None
    curve: dict[int, float] = field(default_factory=dict)
    reason: str = ""


NAMES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


class SweepStudy:
    """One sweep's study: ask for values, report epochs, tell ends. Only the driver's main thread uses it."""

    def __init__(self, config: SweepConfig, folder: Path, base_values: dict[str, Any] | None = None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.config, self.url = config, storage_url(config, folder)
        if config.sampler == "cmaes" and importlib.util.find_spec("cmaes") is None:
            raise BadInput(
                "sampler", "cmaes needs the package `cmaes`, which is not installed", "install it, or say sampler: tpe"
            )
        try:
            self.study = optuna.create_study(
                storage=self.url,
                study_name=folder.name,
                direction=config.objective.direction,
                pruner=_pruner(config),
                load_if_exists=True,
            )
        except Exception as error:  # SQLAlchemy's own, the driver's own, or a missing driver
            reason = redact(" ".join(str(error).split())[:200])
            raise BadInput("storage", f"the study's database cannot be opened ({reason})", "look at the URL") from error
        if not self.study.get_trials(deepcopy=False):
            self._enqueue(base_values)

    def _enqueue(self, base_values: dict[str, Any] | None) -> None:
        """Queue what the sampler need not choose: a grid's points in random order, or the base recipe's own point."""
        points = [base_values] if base_values else []
        if self.config.sampler == "grid":
            points = self.config.grid()
            points.sort(key=lambda point: derive(self.config.seed, canonical_json(point)))
            points = points[: self.config.budget.trials]
        for point in points:
            self.study.enqueue_trial({p: _encoded(self.config.space[p], v) for p, v in point.items()})

    def asked(self) -> int:
        """Return how many trials were ever handed out."""
        return len([t for t in self._trials() if t.state != TrialState.WAITING])

    def exhausted(self) -> bool:
        """Say whether there is nothing left to ask: the budget of trials, or a grid's points."""
        if self.config.budget.trials is not None and self.asked() >= self.config.budget.trials:
            return True
        return self.config.sampler == "grid" and not any(t.state == TrialState.WAITING for t in self._trials())

    def ask(self) -> tuple[int, dict[str, Any]]:
        """Return the next trial's number and values."""
        # A fresh sampler a trial, with dice of its own: a resumed sweep does not throw the first session's dice again.
        self.study.sampler = _sampler(self.config, derive(self.config.seed, self.asked()) % 2**32)
        trial = self.study.ask()
        return trial.number, self._suggest(trial)

    def unfinished(self) -> list[int]:
        """Return the trials that a killed driver left RUNNING."""
        return [t.number for t in self._trials() if t.state == TrialState.RUNNING]

    def take_up(self, number: int) -> dict[str, Any]:
        """Return the values of an unfinished trial; what a kill left undecided is decided now."""
        self.study.sampler = _sampler(self.config, derive(self.config.seed, number) % 2**32)
        return self._suggest(Trial(self.study, self._frozen(number)._trial_id))

    def _suggest(self, trial: Trial) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for path in self.config.ordered():
            if self.config.active(values, path):
                values[path] = _suggested(trial, path, self.config.space[path])
        return values

    def report(self, number: int, epoch: int, value: float | None) -> bool:
        """Keep an epoch's value and say whether the trial goes on; an epoch that is known already changes nothing."""
        frozen = self._frozen(number)
        if value is None or epoch in frozen.intermediate_values or frozen.state != TrialState.RUNNING:
            return True
        # By the storage, as `Trial.report` does it: a Trial object does not outlive the driver, its number does.
        self.study._storage.set_trial_intermediate_value(frozen._trial_id, epoch, value)
        return not self.study.pruner.prune(self.study, self._frozen(number))

    def complete(self, number: int, value: float) -> None:
        """Tell a trial's final value: its checkpoint's, not its last epoch's."""
        self.study.tell(number, value, skip_if_finished=True)

    def stop(self, number: int, reason: str) -> None:
        """Tell that a trial was stopped early (PRUNED)."""
        self._end(number, TrialState.PRUNED, reason)

    def fail(self, number: int, reason: str) -> None:
        """Tell that a trial failed."""
        self._end(number, TrialState.FAIL, reason)

    def _end(self, number: int, state: TrialState, reason: str) -> None:
        frozen = self._frozen(number)
        if not frozen.state.is_finished():
            self.study._storage.set_trial_user_attr(frozen._trial_id, REASON, reason[:1000])
            self.study.tell(number, state=state)

    def table(self) -> list[TrialRow]:
        """Return all trials that were handed out, in order."""
        return [self._read(t) for t in self._trials() if t.state != TrialState.WAITING]

    def _read(self, trial: FrozenTrial) -> TrialRow:
        values = {p: _decoded(self.config.space[p], v) for p, v in trial.params.items() if p in self.config.space}
        curve = {epoch: value for epoch, value in sorted(trial.intermediate_values.items()) if math.isfinite(value)}
        value = trial.value if trial.state == TrialState.COMPLETE else None
        return TrialRow(trial.number, NAMES[trial.state], values, value, curve, str(trial.user_attrs.get(REASON, "")))

    def best(self, count: int = 1) -> list[TrialRow]:
        """Return the best complete trials, best first; of two with the same values the better one."""
        sign = 1 if self.config.objective.direction == "minimize" else -1
        done = [t for t in self.table() if t.state == "complete" and t.value is not None]
        found: dict[str, TrialRow] = {}
        for trial in sorted(done, key=lambda t: (sign * float(t.value or 0), t.number)):
            found.setdefault(canonical_json(trial.values), trial)
        return list(found.values())[:count]

    def importances(self) -> dict[str, float]:
        """Return how much of the objective's spread each field explains (PED-ANOVA); empty where too few trials tell."""
        done = [t for t in self._trials() if t.state == TrialState.COMPLETE]
        common = set.intersection(*(set(t.params) for t in done)) if done else set()
        if len(done) < 4 or len({t.value for t in done}) < 2 or not common:
            return {}
        try:
            found = optuna.importance.get_param_importances(self.study, params=sorted(common))
        except (ValueError, RuntimeError, ZeroDivisionError):  # a field that never varied among them
            return {}
        return {path: float(share) for path, share in found.items() if math.isfinite(share)}

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._trials()[number]


def storage_url(config: SweepConfig, folder: Path) -> str:
    """Return where the study lives: the environment's URL, the sweep's, or SQLite in its folder."""
    return os.environ.get(STORAGE_VARIABLE) or config.storage or f"sqlite:///{folder / 'study.db'}"


def _pruner(config: SweepConfig) -> optuna.pruners.BasePruner:
    if config.asha is None:
        return optuna.pruners.NopPruner()
    # ASHA whose rungs are attributes of the trials in the study: they are there after any kill.
    return optuna.pruners.SuccessiveHalvingPruner(
        min_resource=config.asha.grace_epochs, reduction_factor=config.asha.reduction_factor, min_early_stopping_rate=0
    )


def _sampler(config: SweepConfig, seed: int) -> optuna.samplers.BaseSampler:
    if config.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=config.startup_trials)
    if config.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=config.startup_trials, warn_independent_sampling=False)
    if config.sampler == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=config.startup_trials, warn_independent_sampling=False)
    return optuna.samplers.RandomSampler(seed=seed)  # a grid's points are queued


def _suggested(trial: Trial, path: str, dimension: Dimension) -> Any:
    if dimension.choice is not None:
        return _decoded(dimension, trial.suggest_categorical(path, [_encoded(dimension, v) for v in dimension.choice]))
    low, high = dimension.bounds
    if dimension.kind == "int":
        return trial.suggest_int(path, int(low), int(high), step=dimension.step)
    return trial.suggest_float(path, low, high, log=dimension.kind == "loguniform")


def _encoded(dimension: Dimension, value: Any) -> Any:
    """Return what Optuna can store: a list or mapping as its JSON text."""
    return canonical_json(value) if dimension.choice is not None and isinstance(value, (list, tuple, dict)) else value


def _decoded(dimension: Dimension, stored: Any) -> Any:
    for option in dimension.choice or ():
        if _encoded(dimension, option) == stored and type(_encoded(dimension, option)) is type(stored):
            return option
    return stored
