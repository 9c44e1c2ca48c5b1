"""The model of a super-resolution recipe: a generator, the recogniser that teaches and judges it, and LCOFL between them."""

from __future__ import annotations

from dataclasses import replace
from math import lcm
from typing import Literal

from pydantic import Field

from glyphyard.core.capacity import Capacity
from glyphyard.recipe.base import Strict
from glyphyard.recipe.model import RESTORERS_READER, ParseqConfig, ReaderConfig
from glyphyard.recipe.super_resolution import LcoflConfig, SwinIRConfig

PICTURE_TERMS = ("l1", "ssim", "lcofl")  # the losses of what a generator makes; every other one is its recogniser's


class RestorerConfig(Strict):
    """Low-resolution crop → generator → high-resolution crop → recogniser → text; parts `generator` and `recogniser`."""

    network: Literal["restorer"] = "restorer"
    generator: SwinIRConfig = SwinIRConfig()
    recogniser: ReaderConfig = Field(
        ParseqConfig(network=RESTORERS_READER), description="Any network that task recognition knows."
    )
    lcofl: LcoflConfig = LcoflConfig()

    @property
    def pixel_steps(self) -> tuple[int, int]:
        """Height and width of the high-resolution side have to be multiples of these, in pixels."""
        down, across = self.recogniser.pixel_steps
        return lcm(down, self.generator.scale), lcm(across, self.generator.scale)

    def capacity(self, width: int) -> Capacity:
        """Return which texts the recogniser has room for in a crop of this width (pixels, high resolution), on plates of which layout."""
        pyramid = self.generator.pyramid
        return replace(self.recogniser.capacity(width), layout=pyramid.layout if pyramid else "none")
