"""Reading one line of text: CTC targets, loss, metrics and what is shipped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor, nn

from glyphyard.core.alphabet import BLANK
from glyphyard.core.ctc import Reading, greedy_decode
from glyphyard.core.errors import BadInput
from glyphyard.data.augment import augment, to_float
from glyphyard.nn.crnn import Crnn
from glyphyard.nn.losses import ctc_loss, flat_start_loss
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig
from glyphyard.tasks.base import Batch, Better, ExportSpec, Rows
from glyphyard.tasks.recognition.scoring import SUMS, greedy_ids, score


class Recognition:
    """Images of text lines → readings; one part, "model", that gives log-probabilities (T,N,K)."""

    metric_names: Mapping[str, Better] = {"loss": "lower", "cer": "lower", "exact_match": "higher", "length_accuracy": "higher"}
    term_names: tuple[str, ...] = ("ctc", "flat_start")

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.alphabet = recipe.dataset.the_alphabet()
        self.image = recipe.dataset.image
        if self.image.width % 4:
            raise BadInput("dataset.image.width", f"expected a multiple of 4 pixels, found {self.image.width}")

    def build(self) -> nn.ModuleDict:
        """Return {"model": Crnn}."""
        return nn.ModuleDict(
            {"model": Crnn(self.recipe.model, self.image.channels, self.image.height, self.alphabet.num_classes)}
        )

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
        """Return "ctc", the mean over samples of the loss per character, and "flat_start", a rough alignment to begin with."""
        log_probs_TNK = parts["model"](batch.images)
        terms = {"ctc": self._ctc(log_probs_TNK, batch)}
        if any(wanted.term == "flat_start" for wanted in stage.losses):
            terms["flat_start"] = flat_start_loss(log_probs_TNK, batch.targets["labels"], batch.targets["lengths"])
        return terms

    def new_sums(self) -> Tensor:
        """Return the SUMS of no rows, (6,) float64 zeros."""
        return torch.zeros(len(SUMS), dtype=torch.float64)

    def measure(self, parts: nn.ModuleDict, batch: Batch, stage: StageConfig) -> Tensor:
        """Return the batch's SUMS, (6,) float64; the loss is the CTC loss of what is shipped."""
        log_probs_TNK = parts["model"](batch.images)
        loss = self._ctc(log_probs_TNK, batch)
        counts = score(*greedy_ids(log_probs_TNK), batch.targets["labels"], batch.targets["lengths"])
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

    def predict(self, parts: nn.ModuleDict, batch: Batch) -> list[Reading]:
        """Read each image greedily, with confidences."""
        with torch.inference_mode():
            return greedy_decode(parts["model"](batch.images).cpu().numpy(), self.alphabet)

    def example_batch(self, size: int) -> Batch:
        """Return random images with random texts of four characters."""
        dice = torch.Generator().manual_seed(0)
        picks = torch.randint(len(self.alphabet.characters), (size, 4), generator=dice).tolist()
        texts = ["".join(self.alphabet.characters[i] for i in row) for row in picks]
        images = torch.rand((size, self.image.channels, self.image.height, self.image.width), generator=dice)
        return Batch(images, texts, torch.arange(size), self.targets(texts))

    def export_spec(self, parts: nn.ModuleDict) -> ExportSpec:
        """Ship the model: `input` (N,C,H,W) → `output` (T,N,K)."""
        return ExportSpec(parts["model"], (self.example_batch(2).images,), ("input",), ("output",), {"input": 0, "output": 1})

    def _ctc(self, log_probs_TNK: Tensor, batch: Batch) -> Tensor:
        return ctc_loss(log_probs_TNK, batch.targets["labels"], batch.targets["lengths"])
