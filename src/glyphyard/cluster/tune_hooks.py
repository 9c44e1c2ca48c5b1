"""What Ray Tune calls during a sweep; each hook hands on to the trials' owner and keeps nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from glyphyard.cluster.tune import Trials


class _Hook:
    """Holds the trials' owner, and leaves it out of what Tune pickles into its snapshots."""

    trials: Trials

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Asking(_Hook, Searcher):
    """Asks for a trial when there is room."""

    def __init__(self, trials: Trials) -> None:
        super().__init__()
        self.trials = trials

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, None to be asked again, FINISHED at the end."""
        found = self.trials.next()
        if found is None:
            return Searcher.FINISHED
        return {"folder": str(found)} if isinstance(found, Path) else None

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: the scheduler tells."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study keeps its own state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: Tune is never restored."""


class Deciding(_Hook, FIFOScheduler):
    """Carries reports to the trials' owner and its decision back."""

    def __init__(self, trials: Trials) -> None:
        super().__init__()
        self.trials = trials

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand on an epoch or an outcome."""
        folder = Path(trial.config["folder"])
        if "outcome" in result:
            self.trials.ended(folder, json.loads(result["outcome"]))
            return str(self.CONTINUE)
        return str(self.CONTINUE if self.trials.epoch_ended(folder, json.loads(result["row"])) else self.STOP)


class Listening(_Hook, Callback):
    """Notices time passing, and processes that die under a trial."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.errors: set[str] = set()

    def on_step_end(self, iteration: int, trials: Any, **info: Any) -> None:
        """Let the owner's clock run, and hand on why a trial's process died."""
        self.trials.tick()
        for trial in trials:  # not by on_trial_error: Tune leaves that out where a process cannot be used again
            if trial.status == "ERROR" and trial.trial_id not in self.errors:
                self.errors.add(trial.trial_id)
                reason = reason_of(trial)
                self.trials.ended(Path(trial.config["folder"]), {"state": "failed", "reason": reason, "seconds": 0.0})


def reason_of(trial: Any) -> str:
    """Return why a trial's process died, in one line of Ray's many."""
    text = " ".join(str(trial.get_error() or "").split())
    if any(word in text for word in ("OutOfMemory", "OOM", "out of memory", "memory pressure")):
        return f"its process was ended for want of memory: {text[:300]}"
    return f"its process died: {text[:300]}"
