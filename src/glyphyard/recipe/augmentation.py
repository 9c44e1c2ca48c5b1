"""What may happen to a training crop: each field is the largest change, 0 is off; drawn anew for each crop and epoch."""

from __future__ import annotations

from pydantic import Field

from glyphyard.recipe.base import Fraction, Strict, swept

# What would spoil the high side of task super_resolution, which its generator learns to make: never done there.
SPOILING = ("blur_sigma_px", "noise_std", "downscale")


class AugmentationConfig(Strict):
    """Whole-batch augmentation; the defaults are the plate guide's (rotation, brightness, contrast, slight blur)."""

    rotate_deg: float = Field(5.0, ge=0, le=45, json_schema_extra=swept(0, 10))
    shear_deg: float = Field(0.0, ge=0, le=45, json_schema_extra=swept(0, 15))
    scale: Fraction = Field(0.0, description="±share of the size, drawn for each axis.", json_schema_extra=swept(0, 0.2))
    translate: Fraction = Field(0.0, description="±share of the width and height.", json_schema_extra=swept(0, 0.1))
    perspective: Fraction = Field(
        0.0, description="Largest shift of a corner, as a share of the size.", json_schema_extra=swept(0, 0.2)
    )
    brightness: Fraction = Field(0.2, json_schema_extra=swept(0, 0.5))
    contrast: Fraction = Field(0.15, json_schema_extra=swept(0, 0.6))
    saturation: Fraction = Field(0.0, description="±share of the colour's strength; grey images have none.")
    gamma: Fraction = Field(0.0, description="±share of the exponent.")
    blur_sigma_px: float = Field(0.5, ge=0, le=5, json_schema_extra=swept(0, 2))
    noise_std: Fraction = Field(0.0, description="Largest standard deviation of sensor noise, of the full range.")
    downscale: Fraction = Field(0.0, description="Largest share of the resolution that is lost and scaled back.")
    erase: Fraction = Field(0.0, description="Chance that a small box of the crop is painted over.")
    invert: Fraction = Field(0.0, description="Chance that dark and light change places.")
    horizontal_flip: bool = Field(False, description="Refused for text: a mirrored plate is another plate.")
