"""A recipe that finds characters with a network as small as it gets, plates for it, and a bundle that was hardly trained."""

from __future__ import annotations

import csv
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from made_once import made_once

from glyphyard.core.capacity import Capacity
from glyphyard.core.records import CheckpointRecord
from glyphyard.data.prepare_outlines import prepare_outlines
from glyphyard.data.synth_outlines import render_outlined
from glyphyard.export.segmentation import export_segmenter
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig, Threshold
from glyphyard.training.job import StageJob
from glyphyard.training.loop import train_stage
from glyphyard.training.ranks import SingleRank
from glyphyard.training.watch import Watch

MODEL = {
    "network": "maskrcnn", "backbone": "light", "min_side_px": 64, "max_side_px": 128, "anchors_px": [8, 16, 24, 40],
    "pyramid": 16, "box_hidden": 32, "mask_layers": 1, "most": 12, "proposals": 50, "regions": 16, "score": 0.0,
}  # fmt: skip
SUITE = SuiteConfig(name="little", thresholds=(Threshold(metric="map50", above=0.5),), min_samples=2, bootstrap=200)


def outlining_recipe(stages: list[dict[str, Any]] | None = None, model: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """Return the recipe; a stage takes two steps of two plates unless it says otherwise."""
    made: dict[str, Any] = {
        "name": "tiny_outlines",
        "task": "segmentation",
        "seed": 15107,
        "dataset": {
            "image": {"height": 64, "width": 128, "channels": 3},
            "sources": [{"kind": "synthetic_outlines", "name": "drawn", "count": 14, "difficulty": 0.3}],
            "split": {"validation": 0.2, "test": 0.3},
        },
        "model": MODEL | (model or {}),
        "stages": [
            {
                **({} if "epochs" in stage else {"steps": 2}), "batch_size": 2, "lr": 1e-3, "select": "loss",
                "optimizer": {"name": "adamw"}, "precision": "fp32", **stage,
            }
            for stage in stages or [{}]
        ],
        "evaluate": {"suite": "none.yaml"},
        "export": {"max_batch": 3, "golden": 2},
    }  # fmt: skip
    return Recipe.model_validate(made | changes).model_copy(update={"suite": SUITE})


@lru_cache
def prepared() -> Path:
    """Return the folder of the recipe's dataset, made once."""
    store = made_once("outlines", lambda folder: prepare_outlines(outlining_recipe().dataset, Capacity(100), folder))
    return next(store.glob("datasets/*/manifest.json")).parent


def train(folder: Path, recipe: Recipe | None = None, watch: Watch | None = None, **job: Any) -> CheckpointRecord:
    """Train the recipe's first stage in `folder`/stage."""
    return train_stage(StageJob(recipe or outlining_recipe(), 0, prepared(), folder / "stage", **job), SingleRank(), watch)


@lru_cache
def bundle(classes: str = "alphabet") -> Path:
    """Return a bundle of two steps of training, made once."""

    def make(folder: Path) -> None:
        recipe = outlining_recipe(model={"classes": classes})
        train(folder, recipe)
        export_segmenter(recipe, folder / "stage" / "best.pt", prepared(), folder / "bundle", say=lambda line: None)

    return made_once(f"segmenter-{classes}", make) / "bundle"


def write_plates(folder: Path, count: int, seed: int = 5, texts: list[int] | None = None) -> list[str]:
    """Write drawn plates as a `polygon_csv` folder; returns what they read. `texts`: numbers of the plates, 0… when absent."""
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    read = []
    for i in texts or range(count):
        plate = render_outlined(seed, i, 0.2)
        cv2.imwrite(str(folder / "images" / f"p{i:02d}.png"), plate.image_bgr)
        write_outlines(folder / "annotations" / f"p{i:02d}.csv", plate.labels, plate.outlines)
        read.append("".join(plate.labels))
    return read


def write_outlines(path: Path, labels: tuple[str, ...], outlines: tuple[np.ndarray, ...]) -> None:
    """Write one annotation file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["char", "polygon_json"])
        table.writerows([label, json.dumps(np.round(o, 1).reshape(-1).tolist())] for label, o in zip(labels, outlines))
