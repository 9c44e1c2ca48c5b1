"""Which devices a bundle carries engine plans for; what a target leaves out is the table's (core/targets.py)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from glyphyard.core.targets import TARGETS, Target
from glyphyard.recipe.base import Strict


class BatchProfile(Strict):
    """The batches that an engine takes, and the one it is best at."""

    min: int = Field(1, ge=1)
    opt: int = Field(8, ge=1)
    max: int = Field(64, ge=1)

    def as_tuple(self) -> tuple[int, int, int]:
        """Return (min, opt, max)."""
        return self.min, self.opt, self.max


class TargetConfig(Strict):
    """A TensorRT device that gets a plan file in the bundle; its engine is built there, from that file."""

    name: str = Field(description=f"One of {', '.join(TARGETS)}.")
    precision: Literal["fp32", "fp16", "int8"] | None = Field(
        None,
        description="The target's own (fp16) when absent; int8 takes its scales from training crops and has to pass a suite.",
    )
    batch: BatchProfile | None = Field(None, description="1, 8 and 64 when absent, as far as `export.max_batch` goes.")
    workspace_mb: int | None = Field(
        None, ge=16, le=65536, description="Scratch memory of the builder; the target's own when absent."
    )
    dla: int | None = Field(
        None, ge=0, le=1, description="Deep-learning accelerator to use where there is one; the GPU does the rest."
    )
    calibration: int = Field(256, ge=16, le=8192, description="Training crops that an int8 graph's scales come from.")

    @property
    def target(self) -> Target | None:
        """The table's row, or None for a name that is not in it (GY040 says so)."""
        return TARGETS.get(self.name)

    def chosen_precision(self) -> str:
        """Return the precision that holds."""
        return self.precision or (self.target.precision if self.target else "fp16")

    def profile(self, max_batch: int) -> tuple[int, int, int]:
        """Return the batch profile (min, opt, max) that holds with `export.max_batch`."""
        if self.batch is not None or self.target is None:
            return (self.batch or BatchProfile.model_validate({})).as_tuple()
        low, best, high = self.target.batch
        return low, min(best, max_batch), min(high, max_batch)
