"""The evaluation suite: thresholds, counts, confidence, slices and text policy, as data in evals/suites."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from glyphyard.recipe.base import Fraction, Slug, Strict


class Threshold(Strict):
    """A strict bound: `metric < below` or `metric > above`, on the side of the interval that hurts."""

    metric: Literal["cer", "exact_match", "length_accuracy"]
    below: float | None = Field(None, ge=0)
    above: float | None = Field(None, ge=0)


class SuiteConfig(Strict):
    """What a held-out set has to show."""

    name: Slug
    description: str = ""
    split: Literal["validation", "test"] = "test"
    split_sha256: str | None = Field(None, description="The held-out set's hash; another set is refused.")
    thresholds: Annotated[tuple[Threshold, ...], Field(strict=False, min_length=1)]
    min_samples: int = Field(100, ge=1)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    equivalences: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="Characters that count as the same; raw figures stand beside."
    )
    slices: Annotated[tuple[str, ...], Field(strict=False)] = ("source", "length")
    bootstrap: int = Field(2000, ge=200, le=100_000)
    seed: int = 0
    min_slice_samples: int = Field(20, ge=1, description="Smaller slices are shown without a judgement.")
    slice_floors: dict[str, Fraction] = Field(
        default_factory=dict, description="Lowest exact match of slices by column, e.g. {state: 0.5}."
    )
