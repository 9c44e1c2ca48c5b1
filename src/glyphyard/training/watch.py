"""Hooks of the loop, and the one that leaves metrics.jsonl, progress.json and TensorBoard events in the stage's folder."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glyphyard.core.files import make_folder, write_text
from glyphyard.core.naming import figure_name
from glyphyard.core.records import CheckpointRecord
from glyphyard.training.checkpoint import writing_state

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SAID = "said.txt"
TICK_S = 0.5  # the least time between two looks at a running epoch
EpochRow = dict[str, Any]  # one line of metrics.jsonl


@dataclass(frozen=True)
class Tick:
    """A look at a running stage: epochs count from 1, steps within the epoch; None where nothing was measured yet."""

    phase: str  # "survey", "train", "validate" or "done"
    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float | None = None
    lr: float | None = None
    cer: float | None = None
    exact_match: float | None = None
    crops_per_s: float | None = None
    eta_s: float | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)  # all of the last validation


class Watch:
    """What may look on at a stage; every rank calls its own watch at the same points. This one does nothing."""

    def said(self, line: str) -> None:
        """Something that the person who watches should know, once: what the weights start from."""

    def started(self, epoch: int) -> None:
        """A stage starts, or goes on in `epoch` (from 1)."""

    def ticked(self, tick: Tick) -> None:
        """Called at most twice a second within an epoch, and as a phase begins."""

    def epoch_ended(self, row: EpochRow) -> None:
        """An epoch is over, validated and in its checkpoint."""

    def ended(self, record: CheckpointRecord) -> None:
        """The stage is over."""


class Watches(Watch):
    """Several watches, called in turn."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.watches = watches

    def said(self, line: str) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.said(line)

    def started(self, epoch: int) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.started(epoch)

    def ticked(self, tick: Tick) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.ticked(tick)

    def epoch_ended(self, row: EpochRow) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.epoch_ended(row)

    def ended(self, record: CheckpointRecord) -> None:
        """Tell all."""
        for watch in self.watches:
            watch.ended(record)


class FolderWatch(Watch):
    """Leaves a stage's figures in its folder; the loop adds one on rank 0."""

    def __init__(self, folder: Path, title: str | None = None) -> None:
        self.folder, self.title = make_folder(folder), title
        self.metrics, self.progress = folder / "metrics.jsonl", folder / "progress.json"
        self.writer: SummaryWriter | None = None
        self.first_epoch, self.last_tick, self.written_s = 1, Tick("train", "", 0, 0, 0, 0), 0.0

    def said(self, line: str) -> None:
        """Append the line to said.txt, from where the driver prints it."""
        with writing_state(self.folder / SAID), (self.folder / SAID).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def started(self, epoch: int) -> None:
        """Forget epochs that a killed run had written down but not kept: they are about to be trained again."""
        self.first_epoch = epoch
        kept = [line for line in _lines(self.metrics) if _epoch_of(line) < epoch]
        if self.metrics.exists():
            with writing_state(self.metrics):
                write_text(self.metrics, "".join(line + "\n" for line in kept))

    def ticked(self, tick: Tick) -> None:
        """Replace progress.json, at most twice a second unless the phase changed."""
        now = time.monotonic()
        if tick.phase == self.last_tick.phase and now - self.written_s < TICK_S:
            return
        self.last_tick, self.written_s = tick, now
        temporary = self.progress.with_name(f".progress.{os.getpid()}.tmp")
        with writing_state(self.progress):
            temporary.write_text(json.dumps(asdict(tick)), encoding="utf-8")
            temporary.replace(self.progress)  # no fsync: it is only ever of interest while the run lives

    def epoch_ended(self, row: EpochRow) -> None:
        """Append the epoch's line and its TensorBoard scalars."""
        with writing_state(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        with writing_state(self.folder / "tb"):
            writer = self._writer()
            for name, value in scalars(row, self.title).items():
                writer.add_scalar(name, value, row["epoch"])
            writer.flush()

    def ended(self, record: CheckpointRecord) -> None:
        """Close the files."""
        if self.writer is not None:
            self.writer.close()

    def _writer(self) -> SummaryWriter:
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and not needed before the first epoch's end

            self.writer = SummaryWriter(str(self.folder / "tb"), purge_step=self.first_epoch)
        return self.writer


def scalars(row: EpochRow, title: str | None = None) -> dict[str, float]:
    """Name an epoch's figures as TensorBoard and MLflow show them: `<stage>/val_cer`, `<stage>/train_loss`, `<stage>/lr`.

    `title` is what the stage is called there (see core.naming), its name when None.
    """
    named = {figure_name(key): value for key, value in row.items() if key not in ("stage", "epoch", "step")}
    return {f"{title or row['stage']}/{name}": value for name, value in named.items() if isinstance(value, (int, float))}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _epoch_of(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except ValueError:  # the line that was being written when the power went
        return float("inf")
