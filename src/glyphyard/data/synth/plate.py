"""One synthetic plate from (seed, index, family, text): the same bytes in every process and in every order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from glyphyard.data.synth import camera, scene
from glyphyard.data.synth.dice import Dice
from glyphyard.data.synth.families import CATALOGUE, Family
from glyphyard.data.synth.strokes import ALPHABET
from glyphyard.data.synth.style import Plan
from glyphyard.data.synth.texts import plan_for

FAMILIES: tuple[str, ...] = tuple(CATALOGUE)
MAX_TEXT = 10


@dataclass(frozen=True)
class SyntheticPlate:
    """A detector-like crop `image_bgr` (H, W, 3) uint8, its text (A-Z, 0-9), and how it was made, for slicing."""

    image_bgr: np.ndarray
    text: str
    meta: dict[str, str]


def render_plate(
    seed: int, index: int, family: str = "florida", text: str | None = None, difficulty: float = 1.0
) -> SyntheticPlate:
    """Return the plate of (seed, index, family, text); an unknown family or an unfit text raises `ValueError`.

    `difficulty` (0..1) is the share of the family's camera trouble; the plate itself is the same.
    """
    plan = _plan(seed, index, family, text)
    dice = Dice.of("look", seed, index, family, plan.text)
    plate, drawn = scene.compose(plan, dice)
    crop, seen = camera.shoot(plate, _camera(family, difficulty), dice)
    meta = {"family": family, "style": plan.style.name, "layout": plan.layout, **seen, **drawn}
    return SyntheticPlate(crop, plan.text, meta)


def plate_text(seed: int, index: int, family: str = "florida") -> str:
    """Return the text that `render_plate(seed, index, family)` shows, without drawing it."""
    return _plan(seed, index, family, None).text


@cache
def _camera(family: str, difficulty: float) -> camera.Camera:
    return _family(family).camera.at(difficulty)


def _family(name: str) -> Family:
    if name not in CATALOGUE:
        raise ValueError(f"no plate family {name!r}; there are: {', '.join(FAMILIES)}")
    return CATALOGUE[name]


def _plan(seed: int, index: int, family: str, text: str | None) -> Plan:
    if text is not None and not (0 < len(text) <= MAX_TEXT and set(text) <= set(ALPHABET)):
        raise ValueError(f"plate text {text!r} is not 1 to {MAX_TEXT} characters of A-Z and 0-9")
    dice = Dice.of("plan", seed, index, family)
    return plan_for(_family(family).draw(dice), dice, text)
