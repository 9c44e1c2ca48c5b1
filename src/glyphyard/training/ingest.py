"""Where batches come from: the loop takes any Ingest; the usual one keeps this rank's rows in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest
from glyphyard.data.hard_examples import CurriculumSampler, HardExampleMiner
from glyphyard.data.resident import ResidentSplit, load_resident, split_record
from glyphyard.data.sampling import epoch_indices, steps_per_epoch
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig
from glyphyard.tasks.base import Rows, Task
from glyphyard.training.job import StageJob
from glyphyard.training.ranks import Ranks
from glyphyard.training.seeds import derive

if TYPE_CHECKING:
    from glyphyard.data.stream import StreamBatch

VALIDATION_BATCH = 128
SURVEYED = 1  # the epoch whose low sides hard mining reads before its first


class Ingest(Protocol):
    """A rank's share of the rows; every rank takes the same number of steps."""

    fingerprint: str  # of the dataset: a run is not resumed on another one
    steps_per_epoch: int
    miner: HardExampleMiner | None  # where the stage asks for hard mining

    def train(self, epoch: int, start_step: int) -> Iterator[Rows]:
        """Yield the batches of an epoch (from 0) from `start_step` on, on the rank's device."""
        ...

    def validation(self) -> Iterator[Rows]:
        """Yield this rank's share of the validation rows, each once a draw."""
        ...

    def survey(self) -> Iterator[Rows]:
        """Yield rows of this rank's, each once, that hard mining is to know before it draws."""
        ...


class ResidentIngest:
    """Both splits in memory, on the device; an epoch is a permutation of indices."""

    def __init__(
        self, job: StageJob, task: Task, ranks: Ranks, fingerprint: str, train: ResidentSplit, validation: ResidentSplit
    ) -> None:
        self.fingerprint, self.ranks, self.sampling, self.sources = fingerprint, ranks, job.stage.sampling, train.sources
        self.seed, self.batch = order_seed(job), job.stage.batch_size // ranks.world
        self.total = sum(ranks.gather(len(train.texts)))
        self.steps_per_epoch = steps_per_epoch(self.total, self.batch, ranks.world, self.sampling)
        self.train_rows = _rows(train, task).to(ranks.device)
        self.validation_rows = held_out(job, task, validation, ranks.device)
        self.miner: HardExampleMiner | None = None
        if job.stage.hard_mining:
            if job.stage.hard_mining.rows_per_epoch:
                asked = -(-job.stage.hard_mining.rows_per_epoch // (self.batch * ranks.world))
                self.steps_per_epoch = min(self.steps_per_epoch, max(1, asked))
            known = torch.tensor([i for ids in ranks.gather(train.ids.tolist()) for i in ids])
            self.miner = HardExampleMiner(known, job.stage.hard_mining)
            self.sampler = CurriculumSampler(self.miner, train.ids, train.sources, self.sampling.weights)
        self.epochs = job.stage.epochs or -(-(job.stage.steps or 1) // self.steps_per_epoch)

    def train(self, epoch: int, start_step: int) -> Iterator[Rows]:
        """Yield the batches of an epoch from `start_step` on."""
        order = None
        if self.miner is not None:
            done = epoch / self.epochs
            order = self.sampler.order(self.batch, self.steps_per_epoch, self.seed, epoch, self.ranks.rank, done)
        if order is None:
            order = self._unmined(epoch)
        yield from map(self._as_of(epoch).take, order[start_step:])

    def validation(self) -> Iterator[Rows]:
        """Yield this rank's validation rows in order."""
        yield from chain.from_iterable(map(in_order, self.validation_rows))

    def survey(self) -> Iterator[Rows]:
        """Yield, each once, the rows that all epochs together would come by without mining."""
        wanted = torch.zeros(len(self.train_rows.texts), dtype=torch.bool)
        for epoch in range(self.epochs):
            wanted[self._unmined(epoch).flatten()] = True
        yield from map(self._as_of(0).take, wanted.nonzero().flatten().split(VALIDATION_BATCH))

    def _unmined(self, epoch: int) -> Tensor:
        """Return (steps, batch) indices into this rank's rows."""
        mine, world, rank = len(self.train_rows.texts), self.ranks.world, self.ranks.rank
        order = epoch_indices(mine, self.total, self.batch, world, self.sampling, self.sources, self.seed, epoch, rank)
        return order[: self.steps_per_epoch]

    def _as_of(self, epoch: int) -> Rows:
        # What was hard has to come as badly degraded again: otherwise it is the dice that are mined. The noise itself is another
        # each time: kept, it is learnt by heart.
        return replace(self.train_rows, epoch=epoch + 1, strengths_of=SURVEYED if self.miner else None)


class StreamedIngest:
    """Training rows stream from disk through Ray Data; the validation rows stay in memory."""

    def __init__(self, job: StageJob, task: Task, ranks: Ranks, fingerprint: str) -> None:
        from glyphyard.data.stream import StreamedSplit

        check_mining(job.recipe, job.dataset, [job.stage])
        self.miner: HardExampleMiner | None = None
        self.fingerprint, self.task, self.device = fingerprint, task, ranks.device
        batch = job.stage.batch_size // ranks.world
        self.split = StreamedSplit(job.dataset, "train", batch, job.stage.sampling, order_seed(job), ranks.rank, ranks.world)
        self.steps_per_epoch = self.split.steps
        validation = load_resident(job.dataset, "validation", ranks.rank, ranks.world)
        self.validation_rows = held_out(job, task, validation, ranks.device)

    def train(self, epoch: int, start_step: int) -> Iterator[Rows]:
        """Yield the batches of an epoch from `start_step` on."""
        for batch in self.split.epoch(epoch, start_step):
            yield replace(_rows(batch, self.task), epoch=epoch + 1).to(self.device)

    def validation(self) -> Iterator[Rows]:
        """Yield this rank's validation rows in order."""
        yield from chain.from_iterable(map(in_order, self.validation_rows))

    def survey(self) -> Iterator[Rows]:
        """Yield nothing: no stage that mines is streamed."""
        return iter(())


def open_ingest(job: StageJob, task: Task, ranks: Ranks) -> Ingest:
    """Return this rank's share of a prepared dataset: resident where it fits the recipe's budget, streamed otherwise."""
    fingerprint = DatasetManifest.read(job.dataset / "manifest.json").fingerprint
    if not fits_in_memory(job.recipe, job.dataset):
        return StreamedIngest(job, task, ranks, fingerprint)
    train, validation = (load_resident(job.dataset, split, ranks.rank, ranks.world) for split in ("train", "validation"))
    return ResidentIngest(job, task, ranks, fingerprint, train, validation)


def fits_in_memory(recipe: Recipe, dataset: Path) -> bool:
    """Say whether a worker's share of the training rows is within the recipe's budget."""
    record, shape = split_record(dataset, "train")
    return record.rows * math.prod(shape) / recipe.runtime.workers <= recipe.runtime.resident_budget_mb * 2**20


def check_mining(recipe: Recipe, dataset: Path, stages: Sequence[StageConfig]) -> None:
    """Raise `BadInput` where one of `stages` mines rows that would be streamed: before the first trains, not after the fourth."""
    mining = [stage.name for stage in stages if stage.hard_mining]
    if mining and not fits_in_memory(recipe, dataset):
        budget = recipe.runtime.resident_budget_mb
        problem = f"it wants the training rows in memory, and they are more than the runtime.resident_budget_mb of {budget:g}"
        raise BadInput(f"stage `{mining[0]}`: hard_mining", problem, "raise the budget, or use more workers")


def order_seed(job: StageJob) -> int:
    """Return the seed of a stage's order of rows."""
    return derive(job.recipe.seed, job.stage.name, "order")


def in_order(rows: Rows) -> Iterator[Rows]:
    """Yield all rows in batches, each once; of a rank without rows, nothing."""
    if rows.texts:
        yield from map(rows.take, torch.arange(len(rows.texts)).split(VALIDATION_BATCH))


def held_out(job: StageJob, task: Task, split: ResidentSplit, device: torch.device) -> list[Rows]:
    """Return the validation rows as they were prepared, then with low sides made anew, as often as the stage draws them.

    What is drawn by epoch is other than in training. Rows of pairs have but one low side.
    """
    rows = _rows(split, task).to(device)
    pairs = {source.name for source in job.recipe.dataset.sources if source.kind == "plate_pairs"}
    paired = torch.tensor([name in pairs for name in split.sources], dtype=torch.bool).to(device)
    targets = rows.targets | {"paired": paired}
    again = [replace(rows, epoch=-draw, targets=targets) for draw in range(1, job.stage.validation_draws)]
    return [rows, *again]


def _rows(split: ResidentSplit | StreamBatch, task: Task) -> Rows:
    return Rows(split.images, split.texts, split.ids, task.targets(split.texts) | split.more)
