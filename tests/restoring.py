"""A super-resolution recipe of some thousand weights, a prepared dataset for it, and a checkpoint nobody trained."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch

from glyphyard.data.prepare import prepare
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig, Threshold
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import save_state

GENERATOR = {"embed_dim": 8, "rstb": 1, "blocks": 2, "heads": 2, "window": 4, "mlp_ratio": 1.0, "features": 4, "pyramid": None}
RECOGNISER = {
    "network": "parseq", "size": "small_cpu", "embed_dim": 16, "depth": 1, "heads": 2, "decoder_heads": 2, "max_length": 14,
    "permutations": 2, "decode": "parallel", "dropout": 0.2,
}  # fmt: skip
STAGES: list[dict[str, Any]] = [
    {"name": "pretrain", "train": ["recogniser"], "freeze": ["generator"], "losses": [{"term": "plm"}], "select": "loss"},
    {"name": "warmup", "train": ["generator"], "freeze": ["recogniser"], "losses": [{"term": "l1"}], "select": "loss"},
    {
        "name": "lcofl", "train": ["generator"], "freeze": ["recogniser"],
        "losses": [{"term": "l1"}, {"term": "lcofl"}], "select": "word_acc",
    },
    {"name": "finetune", "train": ["generator", "recogniser"], "losses": [{"term": "l1"}, {"term": "lcofl"}], "select": "psnr"},
    {
        "name": "hard_mining", "train": ["generator"], "losses": [{"term": "l1"}, {"term": "lcofl"}], "select": "word_acc",
        "hard_mining": {"reweight_interval": 1},
    },
]  # fmt: skip
SUITE = SuiteConfig(name="little", thresholds=(Threshold(metric="word_acc", above=0.5),), min_samples=5, bootstrap=200)


def restoring_recipe(stages: list[dict[str, Any]] | None = None, **changes: Any) -> Recipe:
    """Return the recipe; a stage lasts two epochs of four rows a step unless it says otherwise."""
    made: dict[str, Any] = {
        "name": "tiny_restorer",
        "task": "super_resolution",
        "dataset": {
            "image": {"height": 16, "width": 48, "channels": 3},
            "low_resolution": {"scale": 2, "until_ssim": [0.5, 0.9], "noise_std": 0.02},
            "sources": [{"kind": "synthetic_plates", "name": "drawn", "count": 30, "family": "brazil"}],
            "split": {"validation": 0.25, "test": 0.35},
        },
        "model": {"generator": {"scale": 2, **GENERATOR}, "recogniser": RECOGNISER},
        "augmentation": {"blur_sigma_px": 0.0},
        "stages": [{"epochs": 2, "batch_size": 4, "lr": 1e-3, **stage} for stage in stages or STAGES],
        "evaluate": {"suite": "none.yaml"},
        "export": {"max_batch": 4, "golden": 4},
    }
    return Recipe.model_validate(made | changes).model_copy(update={"suite": SUITE})


@lru_cache
def prepared() -> Path:
    """Return the folder of the recipe's dataset, made once."""
    recipe = restoring_recipe()
    steps = recipe.model.capacity(recipe.dataset.image.width)
    return prepare(recipe.dataset, steps, Path(mkdtemp(prefix="restoring-")), in_process=True)


def untrained(folder: Path) -> Path:
    """Write a checkpoint of fresh weights."""
    torch.manual_seed(0)
    parts = task_of(restoring_recipe()).build()
    save_state({"parts": parts.state_dict(), "ema": None}, folder / "best.pt")
    return folder / "best.pt"
