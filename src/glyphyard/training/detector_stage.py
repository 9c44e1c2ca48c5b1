"""ultralytics' training loop over one stage, with our pages, schedule, validation, checkpoints and watches in it.

Of ultralytics it is the network, the augmentation, the assignment of boxes to places and the losses. Its own validation,
checkpoints (pickled modules), logging and integrations (MLflow, analytics, plots) are not used.
Import it after `nn.yolo.open_ultralytics` only.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import unwrap_model

from glyphyard.core.errors import StepFailed
from glyphyard.core.yolo import BoxRule
from glyphyard.data.page_rows import PreparedPage
from glyphyard.nn.yolo import build_yolo, find_released, keep_places, load_released
from glyphyard.recipe.yolo import YoloConfig
from glyphyard.training.checkpoint import State, load_parts, put_weights, save_state
from glyphyard.training.detector_arguments import arguments_of
from glyphyard.training.detector_data import PageDataset
from glyphyard.training.detector_metrics import BETTER, look, validation_metrics
from glyphyard.training.job import StageJob
from glyphyard.training.position import Length, Position
from glyphyard.training.ranks import Ranks
from glyphyard.training.seeds import derive
from glyphyard.training.selection import without_nan
from glyphyard.training.start import check_optimizer
from glyphyard.training.watch import TICK_S, EpochRow, Tick, Watch

LEAST_SCORE = 0.001  # average precision counts unsure boxes too
EMA_TAU = 2000  # updates after which the average has nearly its full memory


class DetectorStage(DetectionTrainer):
    """One stage of a detector in the making; `train()` runs it, and `position` says how far it is."""

    def __init__(
        self,
        job: StageJob,
        ranks: Ranks,
        watch: Watch,
        names: Sequence[str],
        pages: Mapping[str, Sequence[PreparedPage]],
        fingerprints: dict[str, Any],
        state: State | None,
        position: Position,
    ) -> None:
        assert isinstance(job.recipe.model, YoloConfig)
        self.job, self.stage, self.ranks, self.watch = job, job.stage, ranks, watch
        self.names, self.pages, self.fingerprints = list(names), pages, fingerprints
        self.state, self.position, self.config = state, position, job.recipe.model
        self.ticked_s = self.epoch_started_s = time.monotonic()
        super().__init__(overrides=arguments_of(job, ranks))
        # One process a rank, started by our launcher: see `_build_train_pipeline` for the rest.
        self.device, self.world_size, self.ddp = ranks.device, 1, False

    # What ultralytics asks for while it sets up.

    def get_dataset(self) -> dict[str, Any]:
        """Return what is known of the data; paths are the names of splits."""
        names = dict(enumerate(self.names))
        return {"train": "train", "val": "validation", "names": names, "nc": len(names), "channels": 3, "path": self.job.dataset}

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> PageDataset:
        """Return a split's pages; held-out ones lie on the square canvas that the bundle has."""
        dataset = PageDataset(
            self.pages[img_path],
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=mode == "train",
            hyp=self.args,
            rect=False,
            stride=32,
            pad=0.0,
            task="detect",
            data=self.data,
        )
        if mode == "train":
            dataset.draw(self.stage.sampling, derive(self.job.recipe.seed, self.stage.name), 0)
        return dataset

    def setup_model(self) -> None:
        """Build the network, the same on all ranks, with the weights that the stage starts from."""
        torch.manual_seed(derive(self.job.recipe.seed, self.stage.name, "weights"))
        self.model = build_yolo(self.config, self.names)
        keep_places(self.model)
        if self.state is not None:
            return
        if self.job.parent is not None:
            load_parts(self.job.parent, nn.ModuleDict({"model": self.model}))
            return
        path, told = find_released(self.config)
        self.watch.said(told if path is None else f"{told}; {load_released(self.model, path)}")

    def _build_train_pipeline(self) -> None:
        # ultralytics would wrap the network for a GPU of its own choice; it is wrapped here, before the average is copied from it.
        self.world_size = self.ranks.world
        self.model = self.ranks.wrap(self.model)
        # ultralytics takes the rank off this again, and all ranks have to deal the rows out by one seed.
        torch.manual_seed(derive(self.job.recipe.seed, self.stage.name, "rows") + self.ranks.rank + 1)
        super()._build_train_pipeline()

    def _setup_scheduler(self) -> None:
        super()._setup_scheduler()  # its schedule is overwritten at each step by ours: see `_before_batch`
        self.lf = lambda epoch: 1.0

    def resume_training(self, ckpt: Any = None) -> None:
        """Put the state back that the stage goes on from."""
        decay = self.stage.ema_decay
        self.ema.decay = lambda updates: decay * (1 - math.exp(-updates / EMA_TAU))
        if self.state is None:
            return
        where = str(self.job.last)
        put_weights(nn.ModuleDict({"model": unwrap_model(self.model)}), self.state["parts"], where)
        put_weights(nn.ModuleDict({"model": self.ema.ema}), self.state["ema"], where)
        self.ema.updates = self.state["ema_updates"]
        check_optimizer(self.state["optimizer"], self.optimizer.state_dict(), where)
        self.optimizer.load_state_dict(self.state["optimizer"])
        self.start_epoch, self.state = self.position.epoch, None

    # The points of ultralytics' loop where we do something.

    def run_callbacks(self, event: str) -> None:
        """Do our part at a point of the loop; ultralytics' own integrations are never asked."""
        step = {
            "on_train_epoch_start": self._start_epoch,
            "on_train_batch_start": self._before_batch,
            "on_train_batch_end": self._after_batch,
            "on_fit_epoch_end": self._end_epoch,
        }.get(event)
        if step is not None:
            step()

    def _start_epoch(self) -> None:
        """Hang the epoch's dice on seed, stage, epoch and rank, so that an epoch that was cut off is the same again."""
        seed = derive(self.job.recipe.seed, self.stage.name, "epoch", self.epoch, self.ranks.rank)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        self.train_loader.dataset.draw(self.stage.sampling, derive(self.job.recipe.seed, self.stage.name), self.epoch)
        self.train_loader.generator.manual_seed(seed)
        self.train_loader.reset()
        self.position.step, self.epoch_started_s = 0, time.monotonic()
        self._oom_retries = 3  # ultralytics would otherwise go on with half the recipe's batch

    def _before_batch(self) -> None:
        length = self._length()
        done = self.position.steps / length.steps
        self.args.box, self.args.cls, self.args.dfl = (
            {wanted.term: wanted.weight_at(done) for wanted in self.stage.losses}.get(term, 0.0) for term in ("box", "cls", "dfl")
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.position.lr(self.stage, length)

    def _length(self) -> Length:
        return Length(len(self.train_loader) * self.epochs, len(self.train_loader))

    def optimizer_step(self) -> None:
        """Clip as the stage says, step, and follow with the average."""
        self.scaler.unscale_(self.optimizer)
        if self.stage.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.ema.update(self.model)

    def _after_batch(self) -> None:
        self.position.step, self.position.steps = self.position.step + 1, self.position.steps + 1
        now = time.monotonic()
        if now - self.ticked_s >= TICK_S:
            self.ticked_s = now
            self.watch.ticked(self._tick("train"))

    def validate(self) -> tuple[dict[str, float], float | None]:
        """Measure the averaged network on the validation pages of all ranks, when it is due."""
        self._check_loss()
        if (self.epoch + 1) % self.stage.validate_every_epochs and self.epoch + 1 < self.epochs:
            return {}, None
        self.watch.ticked(self._tick("validate"))
        network = self.ema.ema
        if self.ranks.world > 1:
            for buffer in network.buffers():
                self.ranks.lead_(buffer)
        rule = BoxRule(LEAST_SCORE, self.config.nms, self.config.most)
        seen = look(network.eval(), map(self.preprocess_batch, self.test_loader), len(self.names), rule)
        loss, pages = self.ranks.sum_(torch.tensor([seen.loss, len(seen.found)], dtype=torch.float64)).tolist()
        every = self.ranks.gather((seen.truths, seen.found))
        truths, found = [t for side, _ in every for t in side], [d for _, side in every for d in side]
        metrics = validation_metrics(truths, found, len(self.names), loss / max(pages, 1))
        self.position.latest = {name: without_nan(value) for name, value in metrics.items()}
        return metrics, None

    def _check_loss(self) -> None:
        finite = all(self.ranks.gather(bool(torch.isfinite(self.loss).all())))
        if not finite:
            where = f"stage `{self.stage.name}`, epoch {self.epoch + 1}"
            remedy = "try a lower lr, a longer warm-up, clip_norm 1 or precision fp32"
            raise StepFailed(where, "the loss became NaN or infinite", remedy)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        return False  # it would unpickle a checkpoint of ultralytics' own; see `_check_loss`

    def _end_epoch(self) -> None:
        """Judge the epoch, write it down, keep its state, and decide whether to go on; on every rank alike."""
        position, row = self.position, self._row()
        measured = {name: math.nan if value is None else value for name, value in position.latest.items()}
        due = "map" in (self.metrics or {})
        position.epoch, position.step = position.epoch + 1, 0
        if position.epoch >= self.epochs:
            position.stopped = "finished"
        is_best = due and position.judge(self.stage, BETTER, measured)[0]  # law: no guard of a detector asks to go back
        self.watch.epoch_ended(row)
        if self.ranks.rank == 0:
            kept = [self.job.epoch(position.epoch)] if self.stage.keep_epochs else []
            save_state(self._state(), *([self.job.best] if is_best else []), self.job.last, *kept)
        self.stop = bool(position.stopped)

    def _row(self) -> EpochRow:
        position, seconds = self.position, time.monotonic() - self.epoch_started_s
        position.seconds += seconds
        terms = {name.removesuffix("_loss"): without_nan(float(value)) for name, value in (self.tloss or {}).items()}
        due = "map" in (self.metrics or {})
        measured = {name: position.latest[name] if due else None for name in BETTER}
        return {
            "stage": self.stage.name,
            "epoch": position.epoch + 1,
            "step": position.steps,
            "train_loss": sum(value or 0.0 for value in terms.values()),
            **{f"train_{name}": value for name, value in terms.items()},
            "val_loss": measured.pop("loss"),
            **measured,
            "lr": self.optimizer.param_groups[0]["lr"],
            "crops_per_s": self._rate(),
            "seconds": round(position.seconds, 3),
        }

    def _rate(self) -> float | None:
        seconds = time.monotonic() - self.epoch_started_s
        return round(self.position.step * self.stage.batch_size / seconds, 2) if seconds > 0 else None

    def _tick(self, phase: str) -> Tick:
        loss = without_nan(sum(float(v) for v in self.tloss.values())) if self.tloss else None
        lr = self.optimizer.param_groups[0]["lr"]
        return self.position.tick(phase, self.stage, self._length(), loss=loss, lr=lr, rate=self._rate())

    def _state(self) -> State:
        def named(network: nn.Module) -> dict[str, Tensor]:
            return {f"model.{name}": value for name, value in network.state_dict().items()}

        return {
            "fingerprints": self.fingerprints,
            "position": asdict(self.position),
            "parts": named(unwrap_model(self.model)),
            "ema": named(self.ema.ema),
            "ema_updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
        }

    # What ultralytics would write of its own accord.

    def save_model(self) -> bool:
        """Keep no checkpoint of pickled modules: see `_end_epoch`."""
        return False

    def save_metrics(self, metrics: Any) -> None:
        """Write no results.csv: the watch has the figures."""

    def final_eval(self) -> None:
        """Measure nothing more: the bundle is measured, later."""
