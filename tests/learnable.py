"""Crops that a tiny network learns in seconds, a recipe for it, and an ingest that needs no files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from glyphyard.core.records import CheckpointRecord
from glyphyard.data.resident import ResidentSplit
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.base import Task
from glyphyard.training.ingest import ResidentIngest
from glyphyard.training.job import StageJob
from glyphyard.training.loop import train_stage
from glyphyard.training.ranks import Ranks, SingleRank
from glyphyard.training.watch import EpochRow, Watch

HEIGHT, WIDTH = 32, 64


def tiny_recipe(stages: list[dict[str, Any]] | None = None, dataset: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """Return a recipe of a network of some thousand weights; a stage lasts two epochs unless it says otherwise."""
    made: dict[str, Any] = {
        "name": "tiny",
        "task": "recognition",
        "dataset": {
            "image": {"height": HEIGHT, "width": WIDTH},
            "sources": [{"kind": "synthetic_plates", "name": "drawn", "count": 10}],
        },
        "model": {"channels": [4, 6, 8, 10], "blocks": [1, 1, 1, 1], "expansion": 2, "features": 16, "hidden": 16, "layers": 1},
        "stages": [{"epochs": None if "steps" in stage else 2, "batch_size": 8, **stage} for stage in stages or [{}]],
        "evaluate": {"suite": "none.yaml"},
    }
    made["dataset"] |= dataset or {}
    return Recipe.model_validate(made | changes)


def crops(count: int, seed: int = 0, length: int = 3) -> ResidentSplit:
    """Return crops of drawn digits."""
    dice = np.random.default_rng(seed)
    texts = ["".join(map(str, dice.integers(0, 10, length))) for _ in range(count)]
    images = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    for image, text in zip(images, texts):
        cv2.putText(image, text, (2, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2)
    return ResidentSplit(torch.from_numpy(images), texts, torch.arange(count), ["drawn"] * count)


def part(split: ResidentSplit, rows: torch.Tensor) -> ResidentSplit:
    """Return these rows of a split."""
    index = rows.tolist()
    return ResidentSplit(split.images[rows], [split.texts[i] for i in index], split.ids[rows], [split.sources[i] for i in index])


class FromMemory:
    """An ingest maker over given splits."""

    def __init__(
        self, train: ResidentSplit | None = None, validation: ResidentSplit | None = None, fingerprint: str = "memory"
    ) -> None:
        self.splits = train or crops(40), validation or crops(12, seed=1)
        self.fingerprint = fingerprint

    def __call__(self, job: StageJob, task: Task, ranks: Ranks) -> ResidentIngest:
        return ResidentIngest(
            job, task, ranks, self.fingerprint, *(part(s, torch.arange(ranks.rank, len(s), ranks.world)) for s in self.splits)
        )


def train(
    folder: Path,
    recipe: Recipe | None = None,
    data: FromMemory | None = None,
    watch: Watch | None = None,
    ranks: Ranks | None = None,
    **job: Any,
) -> CheckpointRecord:
    """Train a stage of a tiny recipe (the first one) from memory."""
    made = StageJob(recipe or tiny_recipe(), job.pop("stage_index", 0), folder, folder / "stage", **job)
    return train_stage(made, ranks or SingleRank(), watch, data or FromMemory())


def same_weights(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Say whether two state dicts are equal to the last bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def epochs_of(folder: Path) -> list[EpochRow]:
    """Return the lines of a stage's metrics.jsonl."""
    return [json.loads(line) for line in (folder / "stage" / "metrics.jsonl").read_text().splitlines()]


class Stop(Exception):
    """What a killed run looks like from inside the process."""


class StopAfter(Watch):
    """Stops a run when an epoch is written down, but not yet in the checkpoint."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def epoch_ended(self, row: EpochRow) -> None:
        if row["epoch"] >= self.epochs:
            raise Stop
