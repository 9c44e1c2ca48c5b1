"""What a sweep hands out and takes back: search trials from the study, then the base recipe and the best with new seeds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glyphyard.cluster.tune import Wait
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import make_folder, read_json, write_json
from glyphyard.pipeline.clock import CONFIRM, SEARCH, Clock
from glyphyard.pipeline.decision import Contender, contender
from glyphyard.pipeline.study import SweepStudy, TrialRow
from glyphyard.recipe.sweep_with_base import Sweep
from glyphyard.training.watch import EpochRow

FIRST_FAILURES = 5  # so many trials that all failed: it is not the values
BASE = "base"


@dataclass
class Running:
    """A trial that somebody trains now, for the live view."""

    name: str
    folder: Path
    values: dict[str, Any]
    since: float = field(default_factory=time.time)
    epoch: int = 0
    value: float | None = None


class SweepTrials:
    """The owner of a sweep's trials (see cluster.tune.Trials); the driver's main thread alone calls it."""

    def __init__(
        self, sweep: Sweep, folder: Path, dataset: Path, study: SweepStudy, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self.sweep, self.config, self.folder, self.dataset = sweep, sweep.config, folder, dataset
        self.study, self.clock, self.say = study, clock, say
        self.running: dict[Path, Running] = {}
        self.unfinished = study.unfinished()
        self.numbers: dict[Path, int] = {}  # search trials
        self.ended_here = 0
        self.searching = True
        self.line: list[tuple[str, dict[str, Any], int]] | None = None  # (name, values, seed) still to confirm
        self.candidates: list[TrialRow] = []
        self.best: TrialRow | None = next(iter(study.best()), None)
        self.all_failed = 0
        self.broken: StepFailed | None = None  # why the sweep cannot go on

    # -- handing out

    def next(self) -> Path | Wait | None:
        """Return the next trial's folder, WAIT while the search must end first, None at the end."""
        if self.broken:
            return None
        while self.searching and not self.broken and (found := self._next_search()) is not None:
            number, values = found
            folder = self.trial_folder(number)
            if problem := self._set_up(folder, values, None):
                self.study.fail(number, problem)
                self._count_failure(f"t{number:04d}", problem)
                continue
            self.numbers[folder] = number
            return self._hand_out(folder, f"t{number:04d}", values)
        if self.searching:
            self.searching = False
        if self.line is None:
            self.line = [(BASE, {}, seed) for seed in self.seeds]
        while True:
            if not self.line:
                if self.numbers:
                    return Wait.WAIT  # the best are known when the last search trial has ended
                if self.candidates or not (self._choose()):
                    return None
                continue
            name, values, seed = self.line.pop(0)
            folder = self.confirm_folder(name, seed)
            if self.outcome_of(folder) is None and not self._set_up(folder, values, seed):
                return self._hand_out(folder, folder.name, values)

    def _next_search(self) -> tuple[int, dict[str, Any]] | None:
        if self.unfinished:
            number = self.unfinished.pop(0)
            return number, self.study.take_up(number)
        return None if self.study.exhausted() or self.out_of_time() else self.study.ask()

    def _choose(self) -> list[TrialRow]:
        """Choose the candidates: the best complete trials that are not the base recipe itself."""
        best = self.study.best(self.config.confirm.top_k + 1)
        own = self.sweep.base_values()
        self.candidates = [t for t in best if t.values != own][: self.config.confirm.top_k]
        assert self.line is not None
        self.line += [(f"t{t.number:04d}", t.values, seed) for t in self.candidates for seed in self.seeds]
        if self.candidates:
            self.say(
                f"confirm: {', '.join(f't{t.number:04d}' for t in self.candidates)} and the base recipe with {len(self.seeds)} seeds"
            )
        return self.candidates

    def _hand_out(self, folder: Path, name: str, values: dict[str, Any]) -> Path:
        self.running[folder] = Running(name, folder, values)
        return folder

    def _set_up(self, folder: Path, values: dict[str, Any], seed: int | None) -> str:
        """Make the trial's folder, a run's without its data; return what is wrong with its recipe, or nothing."""
        try:
            recipe = self.sweep.trial(values, seed)
        except BadInput as error:
            return str(error)
        make_folder(folder)
        if not (folder / "recipe.json").is_file():
            write_json(folder / "recipe.json", recipe.to_json())
            write_json(folder / "dataset.json", {"folder": os.path.relpath(self.dataset, folder)})
        return ""

    # -- taking back

    def epoch_ended(self, folder: Path, row: EpochRow) -> bool:
        """Keep an epoch and say whether the trial goes on."""
        now, value = self.running.get(folder), row.get(self.config.objective.metric)
        if "to" in row:
            self.clock.train(row["from"], row["to"])
        if now is not None:
            now.epoch, now.value = row["epoch"], value if value is not None else now.value
        if folder not in self.numbers:
            return True
        number = self.numbers[folder]
        if not self.study.report(number, row["epoch"], value):
            self._stop(folder, number, f"ASHA after epoch {row['epoch']}")
            return False
        if self.out_of_time():
            self._stop(folder, number, f"the budget of {self.config.budget.hours:g} h ended after epoch {row['epoch']}")
            return False
        return True

    def _stop(self, folder: Path, number: int, reason: str) -> None:
        now = self._take_back(folder)
        del self.numbers[folder]
        self.ended_here += 1
        self.study.stop(number, reason)
        self._write(folder, {"state": "stopped", "reason": reason, "seconds": round(time.time() - now.since, 3)})
        self.say(f"  {now.name} stopped: {reason}, {self._shown(now.value)}")

    def ended(self, folder: Path, outcome: dict[str, Any]) -> None:
        """Take a trial's outcome; a second one for the same trial is ignored."""
        if folder not in self.running:
            return
        now = self._take_back(folder)
        metric = self.config.objective.metric
        value = (outcome.get("metrics") or {}).get(metric)
        if outcome["state"] == "complete" and value is None:
            outcome = outcome | {"state": "failed", "reason": f"its best epoch has no {metric}"}
        self._write(folder, outcome)
        if folder in self.numbers:
            self._tell(self.numbers.pop(folder), now, outcome, value)
        elif outcome["state"] == "failed":
            self.say(f"  {now.name} failed: {outcome['reason']}")
        else:
            self.say(f"  {now.name} complete: {self._shown(value)}")

    def _tell(self, number: int, now: Running, outcome: dict[str, Any], value: Any) -> None:
        if outcome["state"] == "failed":
            self.study.fail(number, outcome["reason"])
            self._count_failure(now.name, outcome["reason"])
            return
        self.study.complete(number, value)
        self.ended_here += 1
        self.best = next(iter(self.study.best()), None)
        mark = " (best so far)" if self.best and self.best.number == number else ""
        self.say(f"  {now.name} complete: {self._shown(value)}{mark} · {told_values(now.values)}")

    def _count_failure(self, name: str, reason: str) -> None:
        self.ended_here += 1
        self.say(f"  {name} failed: {reason}")
        self.all_failed += 1
        table = self.study.table()
        if self.all_failed >= FIRST_FAILURES and all(t.state in ("failed", "running") for t in table):
            problem = f"the first {self.all_failed} trials all failed, the last one with: {reason}"
            self.broken = StepFailed("sweep", problem, "look at the base recipe")

    def _take_back(self, folder: Path) -> Running:
        return self.running.pop(folder, None) or Running(folder.name, folder, {})

    def _write(self, folder: Path, outcome: dict[str, Any]) -> None:
        write_json(folder / "outcome.json", outcome)

    def tick(self) -> None:
        """Let the clock run; the search ends when its last trial has."""
        if not self.searching and not self.numbers and self.clock.phases and self.clock.phases[-1]["name"] == SEARCH:
            self.clock.begin(CONFIRM)
        self.clock.beat()

    # -- what is asked about it

    @property
    def seeds(self) -> list[int]:
        """Return the seeds of the confirmation, none of which the search has used."""
        return [(self.sweep.base.seed + 1 + k) % 2**31 for k in range(self.config.confirm.seeds)]

    def out_of_time(self) -> bool:
        """Say whether the search's hours are used up, over all sessions."""
        hours = self.config.budget.hours
        return hours is not None and self.clock.spent_s(SEARCH) >= hours * 3600

    def trial_folder(self, number: int) -> Path:
        """Return the folder of a search trial."""
        return self.folder / "trials" / f"t{number:04d}"

    def confirm_folder(self, name: str, seed: int) -> Path:
        """Return the folder of a confirming run."""
        return self.folder / "confirm" / f"{name}-seed{seed}"

    def outcome_of(self, folder: Path) -> dict[str, Any] | None:
        """Return a trial's outcome, None while it has none; a failed confirmation is not tried again."""
        try:
            return dict(read_json(folder / "outcome.json"))
        except BadInput:
            return None

    def contender(self, name: str, values: dict[str, Any]) -> Contender:
        """Return what a setting reached with the confirming seeds."""
        scores, notes = {}, []
        for seed in self.seeds:
            outcome = self.outcome_of(self.confirm_folder(name, seed)) or {}
            if outcome.get("state") == "complete":
                scores[seed] = float(outcome["metrics"][self.config.objective.metric])
            elif outcome:
                notes.append(f"seed {seed}: {outcome.get('reason', '')}")
        return contender(name, values, scores, "; ".join(notes))

    def _shown(self, value: float | None) -> str:
        return f"{self.config.objective.metric} " + ("–" if value is None else f"{value:.4f}")


def told_values(values: dict[str, Any]) -> str:
    """Return a trial's values in one line, their paths cut to what tells them apart."""
    names = {path: path.rpartition(".")[2] for path in values}
    doubled = {n for n in names.values() if list(names.values()).count(n) > 1}
    return (
        ", ".join(f"{path if names[path] in doubled else names[path]} {_short(v)}" for path, v in values.items())
        or "as the base recipe"
    )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
