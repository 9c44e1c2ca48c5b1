"""The recipe: everything that decides what a run makes, typed, frozen and fingerprinted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from glyphyard.core.files import fingerprint
from glyphyard.recipe.augmentation import AugmentationConfig
from glyphyard.recipe.base import Slug, Strict
from glyphyard.recipe.dataset import DatasetConfig
from glyphyard.recipe.model import ModelConfig
from glyphyard.recipe.run import EvaluateConfig, ExportConfig, RegisterConfig, RuntimeConfig
from glyphyard.recipe.stage import StageConfig
from glyphyard.recipe.suite import SuiteConfig


class Recipe(Strict):
    """One reader of text, from data to registry."""

    name: Slug
    task: Literal["recognition"]
    description: str = ""
    seed: int = Field(7, ge=0, le=2**31 - 1)
    dataset: DatasetConfig
    model: ModelConfig = ModelConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    stages: Annotated[tuple[StageConfig, ...], Field(strict=False, min_length=1)]
    runtime: RuntimeConfig = RuntimeConfig()
    evaluate: EvaluateConfig
    export: ExportConfig = ExportConfig()
    registration: RegisterConfig = Field(RegisterConfig(), alias="register")
    # Read from `evaluate.suite` by `load`; a recipe is judged by what stands in it, wherever the file lies.
    suite: SuiteConfig | None = Field(None, exclude=True, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as canonical JSON values: the only form that crosses a process border."""
        return self.model_dump(mode="json", by_alias=True) | {"suite": self.suite.model_dump(mode="json") if self.suite else None}

    @property
    def fingerprint(self) -> str:
        """Identify what the recipe makes: no path, no host, no time, no runtime."""
        return fingerprint(without_places(self.to_json()))


def without_places(value: Any) -> Any:
    """Drop what says where something lies or runs; content is identified by the dataset's own hash."""
    places = {"labels", "images", "metadata", "tracking_uri", "runtime", "description"}
    if isinstance(value, dict):
        kept = {k: without_places(v) for k, v in value.items() if k not in places}
        if "suite" in kept and isinstance(kept["suite"], str):
            del kept["suite"]
        return kept
    return [without_places(v) for v in value] if isinstance(value, list) else value
