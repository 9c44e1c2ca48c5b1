"""The learning rate as a pure function of the step, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math

from glyphyard.recipe.stage import ScheduleConfig

ONECYCLE_START = 0.04  # 1 / 25 of the peak, as in Smith & Topin, 2018


def lr_factor(config: ScheduleConfig, step: int, total_steps: int, steps_per_epoch: int, drops: int = 0) -> float:
    """Return the learning rate of `step` (from 0) as a share of the peak; `drops` counts plateau's drops so far."""
    warm = round(config.warmup * total_steps)
    if step < warm:
        start = ONECYCLE_START if config.name == "onecycle" else 0.0
        rising = (step + 1) / warm
        return _cosine(start, 1.0, rising) if config.name == "onecycle" else rising
    if config.name in ("onecycle", "cosine"):
        return _cosine(1.0, config.final_factor, (step - warm) / max(1, total_steps - 1 - warm))
    if config.name == "step":
        return config.factor ** (step // steps_per_epoch // config.step_epochs)
    if config.name == "plateau":
        return max(config.factor**drops, config.final_factor)
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
