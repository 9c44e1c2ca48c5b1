"""Which network reads: one config class a network, told apart by `network`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from glyphyard.recipe.base import Strict, swept


class CrnnConfig(Strict):
    """Inverted residuals in four stages → one feature column per four pixels of width → BiLSTM → CTC classes."""

    network: Literal["crnn"] = "crnn"
    channels: Annotated[tuple[int, int, int, int], Field(strict=False)] = Field(
        (16, 24, 48, 96), description="Channels of the four stages."
    )
    blocks: Annotated[tuple[int, int, int, int], Field(strict=False)] = Field(
        (1, 2, 2, 2), description="Inverted residuals in each stage."
    )
    expansion: int = Field(4, ge=1, le=8, description="Width of an inverted residual's middle, in times its input.")
    features: int = Field(256, ge=16, le=1024, description="Channels of each time step that the LSTM sees.")
    hidden: int = Field(256, ge=16, le=1024, description="LSTM units in each direction.")
    layers: int = Field(2, ge=1, le=4, description="LSTM layers.")
    dropout: float = Field(0.1, ge=0, lt=1, json_schema_extra=swept(0.0, 0.5))

    def time_steps(self, width: int) -> int:
        """Return how many time steps an image of this width (pixels) gives."""
        return width // 4


ModelConfig = CrnnConfig  # becomes a union, discriminated by `network`, with the second network
