"""Where a stage is: how far, at which learning rate, how it stands after a validation, and what a watch is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_file
from glyphyard.core.records import CheckpointRecord
from glyphyard.recipe.stage import StageConfig
from glyphyard.tasks.base import Better
from glyphyard.training.job import StageJob
from glyphyard.training.schedule import lr_factor
from glyphyard.training.selection import Standing, crossed, reached, without_nan
from glyphyard.training.watch import Tick


@dataclass(frozen=True)
class Length:
    """How long a stage is, in steps."""

    steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """The epochs that it has, the last of them perhaps a short one."""
        return -(-self.steps // self.steps_per_epoch)


@dataclass
class Position:
    """Where a stage is: `epoch` epochs and `step` steps of the next one are done, `steps` in all; what a checkpoint keeps."""

    epoch: int = 0
    step: int = 0
    steps: int = 0
    summed: int = 0  # steps of the running epoch that are in the sums; each rank's own count
    loss_sum: float = 0.0  # of the running epoch
    term_sums: dict[str, float] = field(default_factory=dict)  # of the running epoch, by term
    epoch_s: float = 0.0  # training time of the running epoch
    seconds: float = 0.0  # of the whole stage, over all its runs
    stopped: str = ""  # why it ended; empty while it has not
    latest: dict[str, float | None] = field(default_factory=dict)  # metrics of the last validation
    standing: Standing = field(default_factory=Standing)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Position:
        """Return the position that a checkpoint keeps."""
        return cls(**{"summed": kept["step"], **kept, "standing": Standing(**kept["standing"])})

    def put_sums(self, summed: int = 0, loss_sum: float = 0.0, term_sums: Mapping[str, float] | None = None) -> None:
        """Let the running epoch's sums be these, or none."""
        self.summed, self.loss_sum, self.term_sums = summed, loss_sum, dict(term_sums or {})

    def mean_loss(self, more: float = 0.0) -> float | None:
        """Return the running epoch's mean loss, `more` of which is not in the sum yet; None before the first step."""
        return (self.loss_sum + more) / self.summed if self.summed else None

    def lr(self, stage: StageConfig, length: Length) -> float:
        """Return the learning rate of the next step."""
        factor = lr_factor(stage.schedule, self.steps, length.steps, length.steps_per_epoch, self.standing.drops)
        return stage.lr * stage.finetune_lr * factor

    def judge(self, stage: StageConfig, names: Mapping[str, Better], metrics: Mapping[str, float]) -> tuple[bool, str]:
        """Take in a validation: return whether it is the best so far, and why a guard asks to go back ("" where none does).

        Guards and patience may end the stage (`stopped`); a guard that fails it is a `StepFailed`.
        """
        self.latest = {name: without_nan(value) for name, value in metrics.items()}
        guard, why = crossed(stage.guards, metrics, self.standing.best, names) or (None, "")
        if guard and guard.action == "fail":
            raise StepFailed(f"stage `{stage.name}`, epoch {self.epoch}", f"a guard failed: {why}", "look at metrics.jsonl")
        if guard and guard.action == "rollback":
            self.standing.stale += 1  # patience ends what only goes back
            self._look_at_patience(stage)
            return False, why
        if guard:
            self.stopped = f"guard: {why}"
            if self.standing.best and not reached(guard, metrics, names):  # there is an epoch within the bounds to ship
                return False, ""
        is_best = self.standing.judge(stage, names, metrics, self.epoch)
        if not self.stopped:
            self._look_at_patience(stage)
        return is_best, ""

    def _look_at_patience(self, stage: StageConfig) -> None:
        if self.standing.out_of_patience(stage):
            self.stopped = f"early stop: {stage.select} has not improved for {self.standing.stale} validations"

    def check_best(self, job: StageJob) -> None:
        """Raise `BadInput` where a stage goes on whose best weights were taken away."""
        if self.standing.best and not job.best.is_file():
            raise BadInput(
                str(job.best), "the stage's best weights are gone", f"put them back, or delete {job.last}: it is trained anew"
            )

    def record(self, job: StageJob, fingerprints: Mapping[str, Any]) -> CheckpointRecord:
        """Return the record of the stage's best weights, which lie in `job.best`."""
        return CheckpointRecord(
            stage=job.stage.name,
            path=str(job.best),
            sha256=sha256_file(job.best),
            parent=str(job.parent) if job.parent else None,
            recipe_fingerprint=str(fingerprints["recipe"]),
            dataset_fingerprint=str(fingerprints["dataset"]),
            epoch=self.standing.best_epoch,
            metrics=self.standing.best,
            seconds=round(self.seconds, 3),
            stopped=self.stopped,
        )

    def tick(
        self, phase: str, stage: StageConfig, length: Length, *, loss: float | None, lr: float | None, rate: float | None
    ) -> Tick:
        """Return what a watch is told; `rate` in rows a second, None where nothing was measured yet."""
        left = (length.steps - self.steps) * stage.batch_size
        return Tick(
            phase=phase,
            stage=stage.name,
            epoch=min(self.epoch + 1, length.epochs),
            epochs=length.epochs,
            step=self.step,
            steps=length.steps_per_epoch,
            loss=loss,
            lr=lr,
            cer=self.latest.get("cer"),
            exact_match=self.latest.get("exact_match"),
            crops_per_s=rate,
            eta_s=round(left / rate, 1) if rate else None,
            metrics=self.latest,
        )
