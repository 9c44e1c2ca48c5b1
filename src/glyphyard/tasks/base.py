"""What a task is to the training loop: how its networks are built, learn and are measured. Shapes are said here, once.

N rows of a batch, C channels, H×W pixels, K sums. The loop knows no task by name; `catalogue.task_of` builds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import torch
from torch import Generator, Tensor, nn

from glyphyard.core.ctc import Reading
from glyphyard.core.decoding import CTC
from glyphyard.recipe.stage import StageConfig

Better = Literal["lower", "higher"]


@dataclass
class Rows:
    """Rows of a prepared split as they lie in memory, before augmentation; `targets` are tensors with N rows each."""

    images: Tensor  # (N,H,W) or (N,H,W,3) uint8
    texts: list[str]
    ids: Tensor  # (N,) int64
    targets: dict[str, Tensor]
    epoch: int = 0  # of training, from 1; 0 in validation, and below where it is drawn several times
    strengths_of: int | None = None  # the epoch that says how badly a low side is degraded; None: `epoch` itself

    def take(self, index: Tensor) -> Rows:
        """Return the rows at `index` (int64, on the CPU)."""
        placed = index.to(self.images.device, non_blocking=True)
        # index_select copies whole rows; indexing with brackets goes byte by byte.
        targets = {name: values.index_select(0, placed) for name, values in self.targets.items()}
        images, texts = self.images.index_select(0, placed), [self.texts[i] for i in index.tolist()]
        return replace(self, images=images, texts=texts, ids=self.ids[index], targets=targets)

    def to(self, device: torch.device) -> Rows:
        """Return the rows with images and targets on `device`; texts and ids stay."""
        targets = {name: values.to(device) for name, values in self.targets.items()}
        return replace(self, images=self.images.to(device), targets=targets)


@dataclass
class Batch:
    """What a network gets: images (N,C,H,W) float32 in [0, 1] and targets on the device, texts, ids (N,).

    `misread`: what `loss` found out about each row in passing, the share of its characters that is misread, (N,); hard
    mining wants it.
    """

    images: Tensor
    texts: list[str]
    ids: Tensor
    targets: dict[str, Tensor]
    misread: Tensor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ExportSpec:
    """What goes into the bundle: a module, an example of its inputs, names, and which axes are the batch."""

    module: nn.Module
    example: tuple[Tensor, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    batch_axes: Mapping[str, int]  # by input or output name
    decode: str = CTC  # how strings are read from the output: a key of core.decoding.DECODERS


class Task(Protocol):
    """How a network learns and how its output is read; a task has no state that changes."""

    metric_names: Mapping[str, Better]  # each metric of `metrics` and which way is good
    term_names: tuple[str, ...]  # the loss terms that `loss` can give
    made_of: Mapping[str, tuple[str, ...]]  # what a term is the sum of, if it is told one by one

    def build(self) -> nn.ModuleDict:
        """Return freshly initialised networks by part name."""
        ...

    def warm_start(self, parts: nn.ModuleDict) -> str | None:
        """Load released weights that the recipe names into fresh parts, and say what a person should know of it."""
        ...

    def targets(self, texts: list[str]) -> dict[str, Tensor]:
        """Return what the loss compares with, encoded once for a whole split: tensors of len(texts) rows."""
        ...

    def collate(self, rows: Rows, dice: Generator | None) -> Batch:
        """Turn raw rows into a batch on their device, augmented by `dice` (on the CPU), or as they are without."""
        ...

    def loss(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> dict[str, Tensor]:
        """Return at least the terms that `stage.losses` asks for and what they are `made_of`, unweighted scalars by name."""
        ...

    def new_sums(self) -> Tensor:
        """Return the sums of no rows at all, (K,) float64 zeros."""
        ...

    def measure(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> Tensor:
        """Return a validation batch's sums and counts, (K,) float64, which add up over batches and ranks."""
        ...

    def metrics(self, sums_K: Tensor) -> dict[str, float]:
        """Divide sums by counts, once, into the metrics named in `metric_names`; NaN without samples."""
        ...

    def remember(self, parts: nn.ModuleDict, sums_K: Tensor, stage: StageConfig) -> None:
        """Put into buffers of `parts` what a validation teaches (class weights); `sums_K` are those of all ranks, so all do the same."""
        ...

    def predict(self, parts: nn.ModuleDict, batch: Batch) -> list[Reading]:
        """Read each image of the batch."""
        ...

    def example_batch(self, size: int) -> Batch:
        """Return a batch of random images with feasible targets, for tests and warm-up."""
        ...

    def export_spec(self, parts: nn.ModuleDict) -> ExportSpec:
        """Say what of `parts` is shipped, and how it is called."""
        ...


def told_terms(task: Task, stage: StageConfig) -> list[str]:
    """Return the names of what is logged of a stage's losses: each term, and what it is made of."""
    return [name for wanted in stage.losses for name in (wanted.term, *task.made_of.get(wanted.term, ()))]


def weighted_sum(terms: Mapping[str, Tensor], stage: StageConfig, done: float) -> Tensor:
    """Add up the terms with the stage's weights when a share `done` of its steps is done.

    What the stage does not ask for counts zero instead of being left out: DDP waits for a gradient of every weight.
    """
    weights = {wanted.term: wanted.weight_at(done) for wanted in stage.losses}
    return torch.stack([value.float() * weights.get(term, 0.0) for term, value in terms.items()]).sum()
