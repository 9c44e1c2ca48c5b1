"""The one training loop: stages of any task, on one process or many, resumable to the bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import make_folder, sha256_file
from glyphyard.core.records import CheckpointRecord
from glyphyard.tasks.base import Rows, Task, weighted_sum
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import State, check_fingerprints, load_state, put_weights, save_state
from glyphyard.training.ema import Ema
from glyphyard.training.ingest import Ingest, open_ingest
from glyphyard.training.job import StageJob
from glyphyard.training.optim import build_optimizer, clip_gradients, set_lr
from glyphyard.training.parts import choose_parts, set_modes
from glyphyard.training.precision import autocast, uses_bf16
from glyphyard.training.ranks import Ranks
from glyphyard.training.schedule import lr_factor
from glyphyard.training.seeds import derive
from glyphyard.training.selection import Standing, check_names, crossed, without_nan
from glyphyard.training.watch import TICK_S, EpochRow, FolderWatch, Tick, Watch, Watches

CHECK_EVERY_STEPS = 20  # on a GPU: looking at a loss waits for the device

IngestMaker = Callable[[StageJob, Task, Ranks], Ingest]


@dataclass
class Position:
    """Where a stage is: `epoch` epochs and `step` steps of the next one are done, `steps` in all."""

    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0  # of the running epoch
    epoch_s: float = 0.0  # training time of the running epoch
    seconds: float = 0.0  # of the whole stage, over all its runs
    stopped: str = ""  # why it ended; empty while it has not
    latest: dict[str, float | None] = field(default_factory=dict)  # metrics of the last validation
    standing: Standing = field(default_factory=Standing)


def train_stage(job: StageJob, ranks: Ranks, watch: Watch | None = None, make_ingest: IngestMaker = open_ingest) -> CheckpointRecord:
    """Train one stage to its end, from `last.pt` if there is one, and return the record of its best weights.

    Every rank calls this with its own `ranks`. BadInput: a stage that cannot start; StepFailed: one that broke.
    """
    make_folder(job.stage_dir)
    watches: list[Watch] = [FolderWatch(job.stage_dir)] if ranks.rank == 0 else []
    trainer = Trainer(job, ranks, Watches([*watches, watch or Watch()]), make_ingest)
    return trainer.run()


class Trainer:
    """One stage in the making; `state()` is everything that has to survive a kill."""

    def __init__(self, job: StageJob, ranks: Ranks, watch: Watch, make_ingest: IngestMaker) -> None:
        self.job, self.stage, self.ranks, self.watch = job, job.stage, ranks, watch
        if self.stage.batch_size % ranks.world:
            problem = f"a batch of {self.stage.batch_size} cannot be shared by {ranks.world} workers"
            raise BadInput(f"stage `{self.stage.name}`", problem, "choose a batch_size that they divide")
        self.task = task_of(job.recipe)
        check_names(self.stage, self.task.metric_names)
        _check_terms(self.task, job)
        torch.manual_seed(derive(job.recipe.seed, "init"))
        self.parts = self.task.build()
        self.learning = choose_parts(self.parts, self.stage)
        self._start_weights()
        self.parts.to(ranks.device)
        self.ema = Ema(self.parts, self.stage.ema_decay) if self.stage.ema_decay else None
        self.weights = [p for p in self.parts.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(self.stage.optimizer, self.weights, self.stage.lr)
        self.position = Position()
        self.ingest = make_ingest(job, self.task, ranks)
        self.fingerprints = {
            "recipe": job.recipe.fingerprint, "dataset": self.ingest.fingerprint, "stage": self.stage.name, "workers": ranks.world
        }  # fmt: skip
        self._resume()
        self.wrapped = nn.ModuleDict({n: ranks.wrap(p) if n in self.learning else p for n, p in self.parts.items()})
        self.total_steps = self.stage.steps or (self.stage.epochs or 1) * self.ingest.steps_per_epoch
        self.epochs = -(-self.total_steps // self.ingest.steps_per_epoch)
        self.bf16 = uses_bf16(self.stage.precision, ranks.device)
        self.dice = torch.Generator(ranks.device)
        self.saved_s = self.ticked_s = time.monotonic()

    def run(self) -> CheckpointRecord:
        """Train epochs until the last or a reason to stop, and return the record."""
        position = self.position
        self.watch.started(position.epoch + 1)
        while not position.stopped:
            started = time.monotonic()
            self._train_epoch()
            metrics = self._validate() if self._is_due() else None
            position.seconds += time.monotonic() - started
            self._end_epoch(metrics)
        return self._finish()

    def state(self) -> State:
        """Return the checkpoint's content. There are no dice in it: `_seed_step` derives them for any step and rank."""
        return {
            "fingerprints": self.fingerprints,
            "parts": self.parts.state_dict(),
            "ema": self.ema and self.ema.parts.state_dict(),
            "ema_updates": self.ema.updates if self.ema else 0,
            "optimizer": self.optimizer.state_dict(),
            "seed": self.job.recipe.seed,
            "position": asdict(self.position),
        }

    def restore(self, state: State, where: str) -> None:
        """Put weights, average and optimiser back as they were."""
        put_weights(self.parts, state["parts"], where)
        if self.ema and state["ema"] is not None:
            put_weights(self.ema.parts, state["ema"], where)
            self.ema.updates = state["ema_updates"]
        self.optimizer.load_state_dict(state["optimizer"])

    def _start_weights(self) -> None:
        if self.stage.init == "scratch":
            return
        if self.job.parent is not None:
            state = load_state(self.job.parent)
            put_weights(self.parts, state["parts"] if state["ema"] is None else state["ema"], str(self.job.parent))
        elif self.stage.init != "previous" or self.job.stage_index > 0:
            raise BadInput(f"stage `{self.stage.name}`", f"its start ({self.stage.init}) is missing", "train the stage before it first")

    def _resume(self) -> None:
        if not self.ranks.gather(self.job.last.exists())[0]:  # rank 0 says it for all
            return
        state = load_state(self.job.last)
        check_fingerprints(state["fingerprints"], self.fingerprints, str(self.job.last))
        self.restore(state, str(self.job.last))
        self.position = Position(**{**state["position"], "standing": Standing(**state["position"]["standing"])})
        self.position.seconds += self.position.epoch_s  # of the epoch that was cut off

    def _train_epoch(self) -> None:
        position, before_s, started = self.position, self.position.epoch_s, time.monotonic()
        losses = torch.zeros((), device=self.ranks.device, dtype=torch.float64)
        set_modes(self.wrapped, self.learning)
        for rows in self.ingest.train(position.epoch, position.step):
            if position.steps >= self.total_steps:
                break
            lr = self.stage.lr * lr_factor(self.stage.schedule, position.steps, self.total_steps, self.ingest.steps_per_epoch, position.standing.drops)
            loss, norm = self._step(rows, lr)
            losses += loss
            position.step, position.steps = position.step + 1, position.steps + 1
            position.epoch_s = before_s + time.monotonic() - started
            if self.ranks.device.type == "cpu" or position.step % CHECK_EVERY_STEPS == 0 or position.step == self.ingest.steps_per_epoch:
                self._check(norm, lr)
            self._look_up(losses, lr)
        position.loss_sum += float(losses)

    def _step(self, rows: Rows, lr: float) -> tuple[Tensor, Tensor]:
        """Learn from one batch and return its loss and gradient norm, on the device."""
        self._seed_step()
        batch = self.task.collate(rows, self.dice)
        with autocast(self.bf16, self.ranks.device):
            terms = self.task.loss(self.wrapped, batch, self.stage)
        loss = weighted_sum(terms, self.stage)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip_gradients(self.weights, self.stage.clip_norm)
        set_lr(self.optimizer, lr)
        self.optimizer.step()
        if self.ema:
            self.ema.update(self.parts)
        return loss.detach(), norm

    def _seed_step(self) -> None:
        key = (self.job.recipe.seed, self.stage.name, self.position.steps, self.ranks.rank)
        torch.manual_seed(derive(*key, "dropout"))
        self.dice.manual_seed(derive(*key, "augmentation"))

    def _check(self, norm: Tensor, lr: float) -> None:
        # The norm is the same on all ranks and NaN if any rank's loss was, so all of them stop here together.
        if not torch.isfinite(norm):
            where = f"stage `{self.stage.name}`, epoch {self.position.epoch + 1}, step {self.position.step} (lr {lr:.3g})"
            raise StepFailed(where, "the loss became NaN or infinite", "try a lower lr, a longer warm-up, clip_norm 1 or precision fp32")

    def _look_up(self, losses: Tensor, lr: float) -> None:
        """Report progress and keep the state, each when its time has come."""
        now = time.monotonic()
        if now - self.ticked_s >= TICK_S:
            self.ticked_s = now
            self.watch.ticked(self._tick("train", lr, (self.position.loss_sum + float(losses)) / self.position.step))
        in_epoch = self.position.step < self.ingest.steps_per_epoch and self.position.steps < self.total_steps
        if self.ranks.rank == 0 and in_epoch and now - self.saved_s >= self.job.checkpoint_every_s:
            loss_sum = self.position.loss_sum
            self.position.loss_sum += float(losses)
            save_state(self.state(), self.job.last)
            self.position.loss_sum, self.saved_s = loss_sum, time.monotonic()

    def _is_due(self) -> bool:
        return (self.position.epoch + 1) % self.stage.validate_every_epochs == 0 or self.position.steps >= self.total_steps

    @torch.inference_mode()
    def _validate(self) -> dict[str, float]:
        """Measure this rank's share of the validation rows, add all shares up, divide once."""
        self.watch.ticked(self._tick("validate", None, self.position.loss_sum / max(1, self.position.step)))
        parts = (self.ema.follow_buffers(self.parts) if self.ema else self.parts).eval()
        sums = self.task.new_sums()
        for rows in self.ingest.validation():
            with autocast(self.bf16, self.ranks.device):
                sums += self.task.measure(parts, self.task.collate(rows, None), self.stage)
        return self.task.metrics(self.ranks.sum_(sums))

    def _end_epoch(self, metrics: dict[str, float] | None) -> None:
        """Judge the epoch, write it down, keep its state, and decide whether to go on."""
        position = self.position
        row = self._row(metrics)
        position.epoch, position.step, position.loss_sum, position.epoch_s = position.epoch + 1, 0, 0.0, 0.0
        if position.steps >= self.total_steps:
            position.stopped = "finished"
        is_best = metrics is not None and self._judge(metrics)
        self.watch.epoch_ended(row)
        if self.ranks.rank == 0:
            save_state(self.state(), *([self.job.best, self.job.last] if is_best else [self.job.last]))
        self.saved_s = time.monotonic()

    def _judge(self, metrics: dict[str, float]) -> bool:
        position, standing = self.position, self.position.standing
        position.latest = {name: without_nan(value) for name, value in metrics.items()}
        hit = crossed(self.stage.guards, metrics)
        if hit and hit[0].action == "fail":
            raise StepFailed(f"stage `{self.stage.name}`, epoch {position.epoch}", f"a guard failed: {hit[1]}", "look at metrics.jsonl")
        if hit and hit[0].action == "rollback":
            self._roll_back(hit[1])
            return False
        is_best = standing.judge(self.stage, self.task.metric_names, metrics, position.epoch)
        if hit:
            position.stopped = f"guard: {hit[1]}"
        elif standing.out_of_patience(self.stage) and not position.stopped:
            position.stopped = f"early stop: {self.stage.select} has not improved for {standing.stale} validations"
        return is_best

    def _roll_back(self, why: str) -> None:
        if not self.position.standing.best_epoch:
            where = f"stage `{self.stage.name}`, epoch {self.position.epoch}"
            raise StepFailed(where, f"a guard asks to go back ({why}), but no epoch was good", "lower the lr, or loosen the guard")
        self.restore(load_state(self.job.best), str(self.job.best))

    def _row(self, metrics: dict[str, float] | None) -> EpochRow:
        position = self.position
        loss = self.ranks.sum_(torch.tensor([position.loss_sum, position.step], dtype=torch.float64))
        last_lr = self.optimizer.param_groups[0]["lr"]
        measured = {name: None if metrics is None else without_nan(metrics[name]) for name in self.task.metric_names}
        return {
            "stage": self.stage.name, "epoch": position.epoch + 1, "step": position.steps,
            "train_loss": without_nan(float(loss[0] / loss[1])), "val_loss": measured.pop("loss"), **measured,
            "lr": last_lr, "crops_per_s": self._rate(), "seconds": round(position.seconds, 3),
        }  # fmt: skip

    def _rate(self) -> float | None:
        rows = self.position.step * self.stage.batch_size
        return round(rows / self.position.epoch_s, 1) if self.position.epoch_s else None

    def _tick(self, phase: str, lr: float | None, loss: float | None) -> Tick:
        position, rate, latest = self.position, self._rate(), self.position.latest
        left = (self.total_steps - position.steps) * self.stage.batch_size
        return Tick(
            phase, self.stage.name, min(position.epoch + 1, self.epochs), self.epochs, position.step, self.ingest.steps_per_epoch,
            loss, lr, latest.get("cer"), latest.get("exact_match"), rate, round(left / rate, 1) if rate else None,
        )  # fmt: skip

    def _finish(self) -> CheckpointRecord:
        standing = self.position.standing
        if not standing.best_epoch:
            raise StepFailed(f"stage `{self.stage.name}`", f"no validation gave a {self.stage.select}", "check that the validation split has rows")
        self.watch.ticked(self._tick("done", None, None))
        record = self.ranks.gather(self._record() if self.ranks.rank == 0 else None)[0]
        assert record is not None
        self.watch.ended(record)
        return record

    def _record(self) -> CheckpointRecord:
        standing = self.position.standing
        return CheckpointRecord(
            stage=self.stage.name, path=str(self.job.best), sha256=sha256_file(self.job.best), parent=self.job.parent and str(self.job.parent),
            recipe_fingerprint=self.fingerprints["recipe"], dataset_fingerprint=self.fingerprints["dataset"], epoch=standing.best_epoch,
            metrics=standing.best, seconds=round(self.position.seconds, 3), stopped=self.position.stopped,
        )  # fmt: skip


def _check_terms(task: Task, job: StageJob) -> None:
    if unknown := sorted({wanted.term for wanted in job.stage.losses} - set(task.term_names)):
        raise BadInput(f"stage `{job.stage.name}`: losses", f"expected terms among {sorted(task.term_names)}, found {unknown}")
