"""A stage of a recipe as ultralytics' arguments: everything that it would otherwise decide or do by itself is said."""

from __future__ import annotations

from typing import Any

import torch

from glyphyard.recipe.yolo import YoloConfig
from glyphyard.recipe.yolo_laws import AUGMENTATIONS
from glyphyard.training.job import StageJob
from glyphyard.training.ranks import Ranks

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
PLACE = "ultralytics"  # in the stage's folder; it keeps its arguments there


def arguments_of(job: StageJob, ranks: Ranks) -> dict[str, Any]:
    """Return ultralytics' arguments for a stage."""
    stage, config, augmentation = job.stage, job.recipe.model, job.recipe.augmentation
    assert isinstance(config, YoloConfig)
    on_gpu = ranks.device.type == "cuda"
    half = on_gpu and stage.precision != "fp32" and torch.cuda.is_bf16_supported(including_emulation=False)
    return {
        "task": "detect",
        "model": f"yolov8{config.size}.yaml",
        "data": str(job.dataset / "dataset.yaml"),
        "save_dir": str(job.stage_dir / PLACE),
        "device": str(ranks.device.index or 0) if on_gpu else "cpu",
        "workers": job.recipe.runtime.loader_workers,
        "epochs": stage.epochs,
        "batch": stage.batch_size,
        "nbs": stage.batch_size * config.accumulate,
        "imgsz": config.imgsz,
        "seed": job.recipe.seed,
        "amp": "bf16" if half else False,  # float16 would first fetch another network to try it on
        "optimizer": OPTIMIZERS[stage.optimizer.name],  # `auto` would ignore the learning rate
        "lr0": min(stage.lr, 1.0),  # the rate of each step is our schedule's; ultralytics refuses a larger one
        "momentum": stage.optimizer.momentum,
        "weight_decay": stage.optimizer.weight_decay,
        "warmup_epochs": 0,  # warm-up is our schedule's
        "patience": 0,
        "max_det": config.most,
        "mosaic": config.mosaic,
        "close_mosaic": config.close_mosaic_epochs if config.mosaic else 0,
        "fliplr": 0.0,
        "flipud": 0.0,
        "hsv_h": 0.0,
        **{theirs: getattr(augmentation, ours) for ours, theirs in AUGMENTATIONS.items()},
        "deterministic": False,
        "cache": False,
        "plots": False,
        "save": False,
        "verbose": False,
        "pretrained": False,
    }
