"""The evaluation suite: thresholds, counts, confidence, slices and text policy, as data in evals/suites."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from glyphyard.recipe.base import Fraction, Slug, Strict

MetricName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Columns = Annotated[tuple[str, ...], Field(strict=False)]

_READING = ("cer", "exact_match", "length_accuracy")
_RECOGNITION = (*_READING, *(f"raw_{name}" for name in _READING), "coverage_at_99_precision")
# Of each view of a crop: enlarged bicubically, made by the generator (no prefix), and as it should be. A recipe's crops have a high
# side; of others, which come with labels alone, `as_is_…` is reported in place of `hr_…`.
_PREFIXES = ("", "bicubic_", "hr_")
_VIEWS = tuple(f"{view}{name}" for view in _PREFIXES for name in ("word_acc", "char_acc", "voted_word_acc"))
_LIKENESS = ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim")
# Average precision at overlap 0.5 and over 0.5 to 0.95, of all objects and by size; the others at the confidence of the bundle.
_DETECTION = (
    "map50",
    "map",
    "precision",
    "recall",
    "f1",
    *(f"{n}_{s}" for n in ("map50", "map") for s in ("small", "medium", "large")),
)
# What each task's scorecard reports; a task that is not listed here is checked when its scorecard is judged.
REPORTED: dict[str, tuple[str, ...]] = {
    "recognition": _RECOGNITION,
    "super_resolution": (*_VIEWS, *_LIKENESS, "word_acc_gain", "export_word_acc_cost", *_RECOGNITION),
    "detection": _DETECTION,
    "segmentation": (*_DETECTION, *(f"mask_{name}" for name in _DETECTION), *_RECOGNITION),
}
# Shares of samples or plates, each right or wrong: their intervals are Wilson's.
SHARES_OF_SAMPLES = frozenset(
    {"exact_match", "length_accuracy", "raw_exact_match", "raw_length_accuracy"}
    | {f"{view}{name}" for view in (*_PREFIXES, "as_is_") for name in ("word_acc", "voted_word_acc")}
)
LOWER_IS_BETTER = frozenset({"cer", "raw_cer", "wer", "raw_wer", "loss", "export_word_acc_cost"})
NOT_A_SHARE = {"psnr": "dB", "ssim": "", "bicubic_psnr": "dB", "bicubic_ssim": ""}  # the unit of figures that are no percentage


class Threshold(Strict):
    """A strict bound: `metric < below` or `metric > above`, on the side of the interval that hurts."""

    metric: MetricName
    below: float | None = Field(None, ge=0)
    above: float | None = Field(None, ge=0)


class RegressionConfig(Strict):
    """What a model may not lose against a baseline on the same samples; a loss beyond chance always blocks."""

    tolerance: dict[MetricName, float] = Field(
        default_factory=dict,
        description="Largest loss that passes while chance could explain it, by metric: {exact_match: 0.02}.",
    )
    slices: Columns = Field((), description="Columns whose slices may not lose beyond chance either, all of them taken together.")

    @field_validator("tolerance")
    @classmethod
    def _not_negative(cls, value: dict[str, float]) -> dict[str, float]:
        if negative := {name: loss for name, loss in value.items() if loss < 0}:
            raise ValueError(f"expected losses of at least 0, found {negative}")
        return value


class SuiteConfig(Strict):
    """What a held-out set has to show."""

    name: Slug
    description: str = ""
    unit: str = Field("plates", min_length=1, max_length=40, description="What the verdict calls the samples.")
    split: Literal["validation", "test"] = "test"
    held_out: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="The held-out set's hash (`glyphyard suite freeze` writes it); another set is refused.",
    )
    thresholds: Annotated[tuple[Threshold, ...], Field(strict=False, min_length=1)]
    min_samples: int = Field(100, ge=1)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    equivalences: Columns = Field((), description="Characters that count as the same, e.g. [0O, 1I]; raw figures stand beside.")
    case: Literal["keep", "ignore"] = Field("keep", description="ignore: a and A count as the same; raw figures stand beside.")
    slices: Columns = ("source", "length")
    bootstrap: int = Field(2000, ge=200, le=100_000)
    seed: int = 0
    min_slice_samples: int = Field(20, ge=1, description="Smaller slices are shown without a judgement.")
    slice_floors: dict[str, Fraction] = Field(
        default_factory=dict, description="Lowest exact match of slices by column, e.g. {state: 0.5}."
    )
    regression: RegressionConfig = RegressionConfig()

    @model_validator(mode="before")
    @classmethod
    def _of_an_older_run(cls, value: Any) -> Any:
        # Runs from before `held_out` recorded an empty `split_sha256`.
        if isinstance(value, dict) and value.get("split_sha256", "") is None:
            return {k: v for k, v in value.items() if k != "split_sha256"}
        return value
