"""Reading one line of text: targets, loss, metrics and what is shipped; how the network reads is its reader's business."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

from glyphyard.core.alphabet import BLANK
from glyphyard.core.ctc import Reading
from glyphyard.data.augment import augment, to_float
from glyphyard.recipe.model import CrnnConfig, ParseqConfig
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig
from glyphyard.tasks.base import Batch, Better, ExportSpec, Rows
from glyphyard.tasks.readers import reader_of
from glyphyard.tasks.readers.scoring import SUMS, score


class Recognition:
    """Images of text lines → readings; one part, "model", that gives log-probabilities (T,N,K)."""

    metric_names: Mapping[str, Better] = {"loss": "lower", "cer": "lower", "exact_match": "higher", "length_accuracy": "higher"}
    made_of: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.alphabet = recipe.dataset.the_alphabet()
        self.image = recipe.dataset.image
        assert isinstance(recipe.model, CrnnConfig | ParseqConfig)  # a law of recipes
        self.reader = reader_of(recipe.model, self.image, self.alphabet)
        self.term_names: tuple[str, ...] = self.reader.term_names

    def build(self) -> nn.ModuleDict:
        """Return {"model": the network}."""
        return nn.ModuleDict({"model": self.reader.build()})

    def warm_start(self, parts: nn.ModuleDict) -> str | None:
        """Load the released weights that the recipe names, and say so."""
        return self.reader.warm_start(parts["model"])

    def targets(self, texts: list[str]) -> dict[str, Tensor]:
        """Return "labels" (N, longest) int64 class ids after folding, padded with BLANK, and "lengths" (N,)."""
        encoded = [self.alphabet.encode(text) for text in texts]
        longest = max(map(len, encoded), default=0)
        padded = [ids + [BLANK] * (longest - len(ids)) for ids in encoded]
        return {
            "labels": torch.tensor(padded, dtype=torch.int64).reshape(len(texts), longest),
            "lengths": torch.tensor([len(ids) for ids in encoded], dtype=torch.int64),
        }

    def collate(self, rows: Rows, dice: Generator | None) -> Batch:
        """Turn uint8 rows into a float batch, augmented as the recipe says if there are `dice`."""
        images = to_float(rows.images) if dice is None else augment(rows.images, self.recipe.augmentation, dice)
        return Batch(images, rows.texts, rows.ids, rows.targets)

    def loss(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> dict[str, Tensor]:
        """Return the terms of the network's reader."""
        return self.reader.losses(parts["model"], batch.images, batch.targets, {wanted.term for wanted in stage.losses})

    def new_sums(self) -> Tensor:
        """Return the SUMS of no rows, (6,) float64 zeros."""
        return torch.zeros(len(SUMS), dtype=torch.float64)

    def measure(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> Tensor:
        """Return the batch's SUMS, (6,) float64, of what is read as what is shipped reads."""
        read, loss = self.reader.validate(parts["model"], batch.images, batch.targets)
        counts = score(read.ids_NT, read.lengths_N, batch.targets["labels"], batch.targets["lengths"])
        return torch.cat([loss.double().cpu().reshape(1) * len(batch.ids), counts])

    def metrics(self, sums_K: Tensor) -> dict[str, float]:
        """Return loss, cer (micro), exact_match and length_accuracy."""
        sums = dict(zip(SUMS, sums_K.tolist(), strict=True))
        samples, characters = sums["samples"] or float("nan"), sums["characters"] or float("nan")
        return {
            "loss": sums["loss"] / samples,
            "cer": sums["edits"] / characters,
            "exact_match": sums["exact"] / samples,
            "length_accuracy": sums["same_length"] / samples,
        }

    def remember(self, parts: nn.ModuleDict, sums_K: Tensor, stage: StageConfig) -> None:
        """Do nothing: a reader keeps no books."""

    def predict(self, parts: nn.ModuleDict, batch: Batch) -> list[Reading]:
        """Read each image greedily, with confidences."""
        with torch.inference_mode():
            return self.reader.readings(parts["model"](batch.images))

    def example_batch(self, size: int) -> Batch:
        """Return random images with random texts of four characters."""
        dice = torch.Generator().manual_seed(0)
        picks = torch.randint(len(self.alphabet.characters), (size, 4), generator=dice).tolist()
        texts = ["".join(self.alphabet.characters[i] for i in row) for row in picks]
        images = torch.rand((size, self.image.channels, self.image.height, self.image.width), generator=dice)
        return Batch(images, texts, torch.arange(size), self.targets(texts))

    def export_spec(self, parts: nn.ModuleDict) -> ExportSpec:
        """Ship the model: `input` (N,C,H,W) → `output` (T,N,K)."""
        example = (self.example_batch(2).images,)
        return ExportSpec(parts["model"], example, ("input",), ("output",), {"input": 0, "output": 1}, self.reader.method)
