"""What learns: networks, their average and their optimiser; one step, one validation, and the state that survives a kill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glyphyard.tasks.base import Rows, Task, told_terms, weighted_sum
from glyphyard.training.checkpoint import put_weights
from glyphyard.training.ema import Ema
from glyphyard.training.ingest import Ingest
from glyphyard.training.job import StageJob
from glyphyard.training.optim import build_optimizer, clip_gradients, set_lr
from glyphyard.training.parts import choose_parts, set_modes
from glyphyard.training.precision import autocast, uses_bf16
from glyphyard.training.ranks import Ranks
from glyphyard.training.seeds import derive
from glyphyard.training.start import begun_parts, check_optimizer


@dataclass(frozen=True)
class Step:
    """What a step came to, on the device: loss, gradient norm, what is told of its terms, and how rows were read."""

    loss: Tensor
    norm: Tensor
    terms: dict[str, Tensor]
    ids: Tensor
    misread: Tensor | None


class Learner:
    """The parts of a task on this rank's device, ready to take steps of one stage."""

    def __init__(self, job: StageJob, task: Task, ranks: Ranks) -> None:
        self.stage, self.seed, self.task, self.ranks = job.stage, job.recipe.seed, task, ranks
        self.parts, self.told = begun_parts(job, task)
        self.learning = choose_parts(self.parts, self.stage)
        self.term_names = told_terms(task, self.stage)
        self.parts.to(ranks.device)
        self.ema = Ema(self.parts, self.stage.ema_decay) if self.stage.ema_decay else None
        self.weights = [p for p in self.parts.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(self.stage.optimizer, self.weights, self.stage.lr)
        self.bf16 = uses_bf16(self.stage.precision, ranks.device)
        self.dice = torch.Generator()
        self.wrapped = self.parts

    def ready(self) -> None:
        """Connect the ranks; weights loaded after this would not be shared."""
        self.wrapped = nn.ModuleDict({n: self.ranks.wrap(p) if n in self.learning else p for n, p in self.parts.items()})

    def start_epoch(self) -> None:
        """Put learning parts into training mode."""
        set_modes(self.wrapped, self.learning)

    def step(self, rows: Rows, number: int, of: int, lr: float) -> Step:
        """Take step `number` of the stage's `of`."""
        self._roll_dice(number)
        batch = self.task.collate(rows, self.dice)
        with autocast(self.bf16, self.ranks.device):
            terms = self.task.loss(self.wrapped, batch, self.stage)
        loss = weighted_sum(terms, self.stage, number / of)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip_gradients(self.weights, self.stage.clip_norm)
        set_lr(self.optimizer, lr)
        self.optimizer.step()
        if self.ema:
            self.ema.update(self.parts)
        told = {name: terms[name].detach() for name in self.term_names}
        return Step(loss.detach(), norm, told, batch.ids, batch.misread)

    @torch.no_grad()
    def survey(self, ingest: Ingest) -> tuple[list[int], list[float]]:
        """Return the ids of the ingest's survey and what share of each row's characters is misread, learning nothing."""
        ids, misread, parts = list[int](), list[float](), self.parts.eval()
        for rows in ingest.survey():
            batch = self.task.collate(rows, None)
            with autocast(self.bf16, self.ranks.device):
                self.task.loss(parts, batch, self.stage)
            assert batch.misread is not None  # law GY063
            ids.extend(batch.ids.tolist())
            misread.extend(batch.misread.tolist())
        return ids, misread

    @torch.inference_mode()
    def validate(self, ingest: Ingest) -> dict[str, float]:
        """Measure this rank's share of the validation rows, add all shares up, divide once."""
        # Since the last forward pass each rank's batch norms have counted a batch of their own; all measure rank 0's.
        for buffer in self.parts.buffers():
            self.ranks.lead_(buffer)
        parts = (self.ema.follow_buffers(self.parts) if self.ema else self.parts).eval()
        sums = self.task.new_sums()
        for rows in ingest.validation():
            with autocast(self.bf16, self.ranks.device):
                sums += self.task.measure(parts, self.task.collate(rows, None), self.stage)
        self.task.remember(self.parts, self.ranks.sum_(sums), self.stage)
        if self.ema:
            self.ema.follow_buffers(self.parts)
        return self.task.metrics(sums)

    def state(self) -> dict[str, Any]:
        """Return weights, average and optimiser; there are no dice in it, for `_roll_dice` gives those of any step and rank."""
        return {
            "seed": self.seed,
            "parts": self.parts.state_dict(),
            "ema": self.ema.parts.state_dict() if self.ema else None,
            "ema_updates": self.ema.updates if self.ema else 0,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any], where: str) -> None:
        """Put weights, average and optimiser back as they were."""
        put_weights(self.parts, state["parts"], where)
        if self.ema and state["ema"] is not None:
            put_weights(self.ema.parts, state["ema"], where)
            self.ema.updates = state["ema_updates"]
        check_optimizer(state["optimizer"], self.optimizer.state_dict(), where)
        self.optimizer.load_state_dict(state["optimizer"])

    def _roll_dice(self, number: int) -> None:
        key = (self.seed, self.stage.name, number, self.ranks.rank)
        torch.manual_seed(derive(*key, "dropout"))
        self.dice.manual_seed(derive(*key, "augmentation"))
