"""The parts of a super-resolution recipe: the generator, its attention over characters, and LCOFL."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from glyphyard.recipe.base import Fraction, Strict
from glyphyard.recipe.model import OnPreset

LayoutName = Literal["brazilian", "mercosur", "florida", "none"]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"expected an odd number, found {value}; take {value - 1} or {value + 1}")
    return value


Odd = Annotated[int, AfterValidator(_odd)]  # it has a middle

# The sizes of LP-ASRN's guide.
SWINIR_PRESETS: dict[str, dict[str, Any]] = {
    "max": {"embed_dim": 144, "rstb": 8, "blocks": 3, "heads": 8, "window": 6, "mlp_ratio": 6.0, "pyramid": {}},
    "lightweight": {"embed_dim": 96, "rstb": 4, "blocks": 2, "heads": 6, "window": 8, "mlp_ratio": 4.0, "pyramid": None},
}


class PyramidConfig(Strict):
    """Character Pyramid Attention: where strokes are, where gaps are, and which place of the plate this is, at three scales."""

    layout: LayoutName = Field("none", description="Which places a plate has; `none` knows positions only.")
    scales: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(strict=False, min_length=1)] = (1.0, 0.5, 0.25)
    stroke: Odd = Field(7, ge=3, le=15, description="Length of a stroke's detector in pixels; odd.")


class SwinIRConfig(OnPreset):
    """SwinIR (Liang et al., 2021): shallow convolution → residual Swin blocks → PixelShuffle, on top of the enlarged input."""

    preset_key = "preset"
    presets = SWINIR_PRESETS

    network: Literal["swinir"] = "swinir"
    preset: Literal["max", "lightweight"] = Field("max", description="What the sizes below are unless stated.")
    scale: Literal[2, 4] = Field(2, description="High resolution ÷ low resolution, on each side.")
    embed_dim: int = Field(144, ge=8, le=360)
    rstb: int = Field(8, ge=1, le=12, description="Residual Swin transformer blocks.")
    blocks: int = Field(3, ge=1, le=12, description="Swin layers in each of them; every second one shifts its windows.")
    heads: int = Field(8, ge=1, le=16)
    window: int = Field(6, ge=2, le=16, description="Side of a window in low-resolution pixels; even.", multiple_of=2)
    mlp_ratio: float = Field(6.0, ge=1, le=8)
    features: int = Field(64, ge=4, le=128, description="Channels of the upscaling part.")
    refine: bool = Field(True, description="A residual convolution after each doubling (progressive refinement).")
    skip: bool = Field(True, description="The network adds to the enlarged input (reconstruction skip).")
    pyramid: PyramidConfig | None = Field(PyramidConfig(), description="Character Pyramid Attention; null leaves it out.")


# λ_C, λ_P and λ_S as the guide and as the released code have them.
LCOFL_FORMS: dict[str, dict[str, Any]] = {
    "differentiable": {"classification": 1.0, "layout": 0.5, "ssim": 0.2},
    "official": {"classification": 1.0, "layout": 1.0, "ssim": 1.0},
}


class LcoflConfig(OnPreset):
    """LCOFL: classification with confusion-adaptive weights + layout penalty + structural similarity."""

    preset_key = "form"
    presets = LCOFL_FORMS

    form: Literal["differentiable", "official"] = Field(
        "differentiable",
        description="official: as the released code computes it, where only SSIM has a gradient, and all λ are 1 unless stated.",
    )
    classification: float = Field(1.0, ge=0, description="λ_C.")
    layout: float = Field(0.5, ge=0, description="λ_P.")
    ssim: float = Field(0.2, ge=0, description="λ_S.")
    q: float = Field(
        0.0,
        ge=0,
        le=1,
        description="differentiable: 0 is the negative log-likelihood. Above, classification is generalised cross-entropy (Zhang and"
        " Sabuncu, 2018): what noise left unreadable counts for less. Its gradients are smaller: a larger λ_C goes with it.",
    )
    alpha: float = Field(0.1, ge=0, description="How much a confused character's weight grows.")
    max_weight: float = Field(3.0, ge=1, description="The largest weight of a character.")
    decay: Fraction = Field(0.5, description="How much of the older confusion rates stays at each validation.")
    ssim_window: Odd = Field(5, ge=3, le=11, description="Side of SSIM's window in pixels; odd.")
    psnr_floor: float = Field(12.5, gt=0, description="dB; below it the classification and layout terms shrink in proportion.")

    @model_validator(mode="after")
    def _of_what_has_a_gradient(self) -> LcoflConfig:
        if self.form == "official" and self.q:
            raise ValueError(f"expected q 0 with form official, whose classification has no gradient, found q {self.q:g}")
        return self
