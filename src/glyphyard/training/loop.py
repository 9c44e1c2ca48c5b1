"""The one training loop: stages of any task, on one process or many, resumable to the bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import make_folder
from glyphyard.core.records import CheckpointRecord
from glyphyard.data.hard_examples import HardExampleMiner
from glyphyard.tasks.base import Task
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import DELETE_LAST, State, check_fingerprints, load_state, save_state
from glyphyard.training.ingest import Ingest, open_ingest
from glyphyard.training.job import StageJob
from glyphyard.training.learner import Learner, Step
from glyphyard.training.position import Length, Position
from glyphyard.training.ranks import Ranks
from glyphyard.training.selection import check_names, without_nan
from glyphyard.training.start import state_to_go_on
from glyphyard.training.sums import EpochSums
from glyphyard.training.watch import TICK_S, EpochRow, FolderWatch, Tick, Watch, Watches

CHECK_EVERY_STEPS = 20  # looking at a GPU's number waits for it, asking other ranks for them

IngestMaker = Callable[[StageJob, Task, Ranks], Ingest]


def train_stage(
    job: StageJob, ranks: Ranks, watch: Watch | None = None, make_ingest: IngestMaker = open_ingest
) -> CheckpointRecord:
    """Train one stage to its end, from `last.pt` if there is one, and return the record of its best weights.

    Every rank calls this with its own `ranks`. BadInput: a stage that cannot start; StepFailed: one that broke.
    """
    make_folder(job.stage_dir)
    watches: list[Watch] = [FolderWatch(job.stage_dir, job.title)] if ranks.rank == 0 else []
    try:
        return Loop(job, ranks, Watches([*watches, watch or Watch()]), make_ingest).run()
    except torch.OutOfMemoryError as error:
        problem = "out of memory: the GPU's is too small"
        raise StepFailed(f"stage `{job.stage.name}`", problem, "use a smaller batch_size, or a smaller network") from error


class Loop:
    """One stage in the making."""

    def __init__(self, job: StageJob, ranks: Ranks, watch: Watch, make_ingest: IngestMaker) -> None:
        self.job, self.stage, self.ranks, self.watch = job, job.stage, ranks, watch
        task = task_of(job.recipe)
        self.metric_names = task.metric_names
        self.check_every = 1 if ranks.device.type == "cpu" else CHECK_EVERY_STEPS
        check_stage(job, task, ranks)
        self.learner = Learner(job, task, ranks)
        self.ingest = make_ingest(job, task, ranks)
        self.miner = self.ingest.miner
        self.fingerprints = {
            "recipe": job.recipe.fingerprint,
            "dataset": self.ingest.fingerprint,
            "stage": self.stage.name,
            "workers": ranks.world,
        }
        per_epoch = self.ingest.steps_per_epoch
        self.length = Length(self.stage.steps or (self.stage.epochs or 1) * per_epoch, per_epoch)
        self.position = self._resumed()
        self.sums = EpochSums(self.position, self.learner.term_names, ranks)
        self.learner.ready()
        self.saved_s = self.ticked_s = time.monotonic()

    def run(self) -> CheckpointRecord:
        """Train epochs until the last or a reason to stop, and return the record."""
        position = self.position
        if self.learner.told:
            self.watch.said(self.learner.told)
        if self._may_come_back_to_its_start():
            self._judge_start()
        if self.miner is not None and not self.miner.has_read():  # a new stage, or one that goes on from a run that did not mine
            self._survey(self.miner)
        self.watch.started(position.epoch + 1)
        while not position.stopped:
            started = time.monotonic()
            self._train_epoch()
            metrics = self._validate() if self._is_due() else None
            position.seconds += time.monotonic() - started
            self._end_epoch(metrics)
        return self._finish()

    def _resumed(self) -> Position:
        if self.ranks.gather(self.job.last.exists())[0]:  # rank 0 says it for all
            where = self.job.last
            state = load_state(where, DELETE_LAST)
            check_fingerprints(state["fingerprints"], self.fingerprints, str(where))
        elif self.stage.start == "resume" and self.job.parent is not None:
            where, lead = self.job.parent, self.ranks.rank == 0
            state = state_to_go_on(self.job, self.fingerprints, self.length.steps_per_epoch, self.length.steps, lead)
        else:
            return Position()
        self.learner.restore(state, str(where))
        if self.miner is not None and "miner" in state:
            self.miner.restore(state["miner"])
        position = Position.of(state["position"])
        if self.ranks.rank > 0:  # rank 0 holds the sums of all, see `EpochSums.pool`
            position.put_sums()
        if where == self.job.last:
            position.check_best(self.job)
        position.seconds += position.epoch_s  # of the epoch that was cut off
        return position

    def _train_epoch(self) -> None:
        position, before_s, started = self.position, self.position.epoch_s, time.monotonic()
        self.learner.start_epoch()
        for rows in self.ingest.train(position.epoch, position.step):
            if position.steps >= self.length.steps:
                break
            lr = position.lr(self.stage, self.length)
            step = self.learner.step(rows, position.steps, self.length.steps, lr)
            self.sums.add(step)
            self._mine(step)
            position.step, position.steps = position.step + 1, position.steps + 1
            position.epoch_s = before_s + time.monotonic() - started
            if position.step % self.check_every == 0 or self._epoch_is_over():
                self._check(step.norm, lr)
            self._look_up(step.norm, lr)
        self.sums.take()

    def _survey(self, miner: HardExampleMiner) -> None:
        """Read rows once before the first epoch, so that it draws the hard ones already."""
        self.watch.ticked(self._tick("survey", None, None))
        for ids, misread in self.ranks.gather(self.learner.survey(self.ingest)):
            miner.note(torch.tensor(ids), torch.tensor(misread))
        miner.end_epoch(0)

    def _mine(self, step: Step) -> None:
        """Tell the miner how all ranks' rows were read."""
        if self.miner is None or step.misread is None:
            return
        for ids, misread in self.ranks.gather((step.ids.tolist(), step.misread.tolist())):
            self.miner.note(torch.tensor(ids), torch.tensor(misread))

    def _epoch_is_over(self) -> bool:
        return self.position.step >= self.length.steps_per_epoch or self.position.steps >= self.length.steps

    def _check(self, norm: Tensor, lr: float) -> None:
        # The norm is the same on all ranks, and NaN if any rank's loss was, so all of them stop here together.
        if not torch.isfinite(norm):
            where = f"stage `{self.stage.name}`, epoch {self.position.epoch + 1}, step {self.position.step} (lr {lr:.3g})"
            raise StepFailed(
                where, "the loss became NaN or infinite", "try a lower lr, a longer warm-up, clip_norm 1 or precision fp32"
            )

    def _look_up(self, norm: Tensor, lr: float) -> None:
        """Report progress and keep the state, each when its time has come."""
        now = time.monotonic()
        if now - self.ticked_s >= TICK_S:
            self.ticked_s = now
            self.watch.ticked(self._tick("train", lr, self.sums.mean_loss()))
        if self._is_time_to_save(now):
            self._check(norm, lr)  # what is broken must not replace what a run can go on from
            self.sums.pool()
            if self.ranks.rank == 0:
                save_state(self._state(), self.job.last)
            self.saved_s = time.monotonic()

    def _is_time_to_save(self, now: float) -> bool:
        due = not self._epoch_is_over() and now - self.saved_s >= self.job.checkpoint_every_s
        if self.ranks.world == 1:
            return due
        # All ranks go by rank 0's clock, and ask it seldom: it is a message to everyone.
        return self.position.step % CHECK_EVERY_STEPS == 0 and self.ranks.gather(due)[0]

    def _is_due(self) -> bool:
        return (self.position.epoch + 1) % self.stage.validate_every_epochs == 0 or self.position.steps >= self.length.steps

    def _validate(self) -> dict[str, float]:
        self.watch.ticked(self._tick("validate", None, self.position.mean_loss()))
        return self.learner.validate(self.ingest)

    def _end_epoch(self, metrics: dict[str, float] | None) -> None:
        """Judge the epoch, write it down, keep its state, and decide whether to go on."""
        position, row = self.position, self._row(metrics)
        position.epoch, position.step, position.epoch_s = position.epoch + 1, 0, 0.0
        position.put_sums()
        if self.miner is not None:
            self.miner.end_epoch(position.epoch)
        if position.steps >= self.length.steps:
            position.stopped = "finished"
        is_best, back = (False, "") if metrics is None else self._judge(metrics)
        if back:
            row["went_back"] = f"to epoch {position.standing.best_epoch}: {back}"
        # First the line, then the state: a line without its state is taken back on resume, the other way round it would be lost.
        self.watch.epoch_ended(row)
        if self.ranks.rank == 0:
            kept = [self.job.epoch(position.epoch)] if self.stage.keep_epochs else []
            save_state(self._state(), *([self.job.best] if is_best else []), self.job.last, *kept)
        self.saved_s = time.monotonic()

    def _judge(self, metrics: dict[str, float]) -> tuple[bool, str]:
        """Say whether a validation is the best so far, and why a guard had the stage go back, which is done."""
        is_best, back = self.position.judge(self.stage, self.metric_names, metrics)
        if back:
            self._roll_back(back)
        return is_best, back

    def _may_come_back_to_its_start(self) -> bool:
        asked = any(guard.action == "rollback" for guard in self.stage.guards)
        return asked and self.job.parent is not None and self.stage.start != "scratch" and self.position.steps == 0

    def _judge_start(self) -> None:
        """Let what the stage starts from be its first best, epoch 0: it may go back there, and never ships anything worse."""
        metrics = self._validate()
        self.position.latest = {name: without_nan(value) for name, value in metrics.items()}
        if self.position.standing.judge(self.stage, self.metric_names, metrics, 0) and self.ranks.rank == 0:
            save_state(self._state(), self.job.best)

    def _roll_back(self, why: str) -> None:
        if not self.position.standing.best:
            where = f"stage `{self.stage.name}`, epoch {self.position.epoch}"
            raise StepFailed(
                where, f"a guard asks to go back ({why}), but no epoch was good", "lower the lr, or loosen the guard"
            )
        self.ranks.barrier()  # rank 0 wrote the file
        self.learner.restore(load_state(self.job.best), str(self.job.best))

    def _row(self, metrics: dict[str, float] | None) -> EpochRow:
        position = self.position
        count, total, terms = self.sums.of_all()
        trained = {f"train_{name}": without_nan(value / count) for name, value in terms.items()}
        measured = {name: None if metrics is None else without_nan(metrics[name]) for name in self.metric_names}
        return {
            "stage": self.stage.name,
            "epoch": position.epoch + 1,
            "step": position.steps,
            "train_loss": without_nan(total / count),
            **trained,
            "val_loss": measured.pop("loss"),
            **measured,
            **(self.miner.stats() if self.miner is not None else {}),
            "lr": self.learner.optimizer.param_groups[0]["lr"],
            "crops_per_s": self._rate(),
            "seconds": round(position.seconds, 3),
        }

    def _rate(self) -> float | None:
        rows = self.position.step * self.stage.batch_size
        return round(rows / self.position.epoch_s, 1) if self.position.epoch_s else None

    def _tick(self, phase: str, lr: float | None, loss: float | None) -> Tick:
        return self.position.tick(phase, self.stage, self.length, loss=loss, lr=lr, rate=self._rate())

    def _state(self) -> State:
        mined = {"miner": self.miner.state()} if self.miner is not None else {}
        return {"fingerprints": self.fingerprints, "position": asdict(self.position), **mined, **self.learner.state()}

    def _finish(self) -> CheckpointRecord:
        if not self.position.standing.best:
            problem = f"no validation gave a {self.stage.select}"
            raise StepFailed(f"stage `{self.stage.name}`", problem, "check that the validation split has rows")
        self.watch.ticked(self._tick("done", None, None))
        record = self.ranks.gather(self.position.record(self.job, self.fingerprints) if self.ranks.rank == 0 else None)[0]
        assert record is not None  # rank 0 made it
        self.watch.ended(record)
        return record


def check_stage(job: StageJob, task: Task, ranks: Ranks) -> None:
    """Refuse, before anything is built, a stage that names what the task does not have or that the workers cannot share."""
    where = f"stage `{job.stage.name}`"
    if job.stage.batch_size % ranks.world:
        problem = f"a batch of {job.stage.batch_size} cannot be shared by {ranks.world} workers"
        raise BadInput(where, problem, "choose a batch_size that they divide")
    check_names(job.stage, task.metric_names)
    if unknown := sorted({wanted.term for wanted in job.stage.losses} - set(task.term_names)):
        raise BadInput(f"{where}: losses", f"expected terms among {sorted(task.term_names)}, found {unknown}")
