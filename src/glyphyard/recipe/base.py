"""What every part of a recipe shares: strict, frozen, and a range for sweeps beside a field's default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A frozen part of a recipe that refuses unknown keys, wrong types (a number as text) and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=True)


def swept(low: float, high: float, scale: str = "linear") -> dict[str, Any]:
    """Return field metadata that says over which range a sweep may vary it; scale is "linear" or "log"."""
    return {"sweep": {"low": low, "high": high, "scale": scale}}


# A path as the recipe states it; `load` makes it absolute against the file that says it. Never part of a fingerprint.
RecipePath = Annotated[Path, Field(strict=False, json_schema_extra={"path": True})]
