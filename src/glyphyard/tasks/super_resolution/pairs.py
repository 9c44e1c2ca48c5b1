"""Batches in two resolutions: the high side as it is, the low side given or made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Generator, Tensor

from glyphyard.data.augment import augment, to_float
from glyphyard.data.degrade import degrade_planes
from glyphyard.recipe.augmentation import SPOILING, AugmentationConfig
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.base import Batch, Rows


@dataclass
class Pairs(Batch):
    """`images` is the high-resolution side (N,C,H,W), `low` the low one (N,C,h,w), both float32 in [0, 1]."""

    make_low: Callable[[], Tensor] = field(kw_only=True)

    @cached_property
    def low(self) -> Tensor:
        """The low-resolution side: a stage that only reads never makes it."""
        return self.make_low()


def pair_up(rows: Rows, recipe: Recipe, dice: Generator | None) -> Pairs:
    """Turn uint8 rows into a batch, both sides augmented alike if there are `dice`.

    A row's low side is its own where the data has one, else the degraded high side: by id, epoch and the recipe's seed.
    """
    start = dice.get_state() if dice is not None else None
    high = to_float(rows.images) if dice is None else augment(rows.images, _geometry_and_light(recipe), dice)

    def make_low() -> Tensor:
        given = rows.targets.get("low")
        if given is None:
            return _made(high, rows, recipe)
        if start is None:
            own = to_float(given)
        else:
            again = torch.Generator()
            again.set_state(start)  # the same draws: the same rotation and the same light as the high side
            own = augment(given, _geometry_and_light(recipe), again)
        lacking = ~rows.targets["paired"].to("cpu")
        if bool(lacking.any()):
            places = lacking.nonzero().flatten()
            own[places.to(own.device)] = _made(high[places.to(high.device)], rows.take(places), recipe)
        return own

    return Pairs(high, rows.texts, rows.ids, rows.targets, make_low=make_low)


def _made(high: Tensor, rows: Rows, recipe: Recipe) -> Tensor:
    assert recipe.dataset.low_resolution is not None  # law GY057
    small = degrade_planes(high, rows.ids, rows.epoch, recipe.seed, recipe.dataset.low_resolution, rows.strengths_of)
    return small.float().div_(255)


def _geometry_and_light(recipe: Recipe) -> AugmentationConfig:
    # A low side is bad enough as it came, and the high side is what a generator learns to make.
    return recipe.augmentation.model_copy(update=dict.fromkeys(SPOILING, 0.0))
