"""The recipe: everything that decides what a run makes, typed, frozen and fingerprinted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from glyphyard.core.files import fingerprint
from glyphyard.recipe.augmentation import AugmentationConfig
from glyphyard.recipe.base import Slug, Strict
from glyphyard.recipe.dataset import DatasetConfig
from glyphyard.recipe.maskrcnn import MaskRcnnConfig
from glyphyard.recipe.model import CrnnConfig, ParseqConfig, network_of, state_losses
from glyphyard.recipe.restorer import RestorerConfig
from glyphyard.recipe.run import EvaluateConfig, ExportConfig, RegisterConfig, RuntimeConfig
from glyphyard.recipe.stage import StageConfig
from glyphyard.recipe.suite import SuiteConfig
from glyphyard.recipe.yolo import YoloConfig

# Each task's own network, where the recipe names none.
NETWORK_OF_TASK = {"recognition": "crnn", "super_resolution": "restorer", "detection": "yolo", "segmentation": "maskrcnn"}
ModelConfig = Annotated[
    Annotated[CrnnConfig, Tag("crnn")]
    | Annotated[ParseqConfig, Tag("parseq")]
    | Annotated[RestorerConfig, Tag("restorer")]
    | Annotated[MaskRcnnConfig, Tag("maskrcnn")]
    | Annotated[YoloConfig, Tag("yolo")],
    Discriminator(network_of),
]


class Recipe(Strict):
    """One model, from data to registry; which networks, losses and metrics it may name depends on its task (see laws)."""

    name: Slug
    task: Literal["recognition", "super_resolution", "detection", "segmentation"]
    description: str = ""
    seed: int = Field(7, ge=0, le=2**31 - 1)
    dataset: DatasetConfig
    model: ModelConfig = CrnnConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    stages: Annotated[tuple[StageConfig, ...], Field(strict=False, min_length=1)]
    runtime: RuntimeConfig = RuntimeConfig()
    evaluate: EvaluateConfig
    export: ExportConfig = ExportConfig()
    registration: RegisterConfig = Field(RegisterConfig(), alias="register")
    # Read from `evaluate.suite` by `load`; a recipe is judged by what stands in it, wherever the file lies.
    suite: SuiteConfig | None = Field(None, exclude=True, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _losses_of_the_network(cls, value: Any) -> Any:
        return state_losses(_with_network(value))

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as canonical JSON values: the only form that crosses a process border."""
        return self.model_dump(mode="json", by_alias=True) | {"suite": self.suite.model_dump(mode="json") if self.suite else None}

    @property
    def fingerprint(self) -> str:
        """Identify what the recipe makes: no path, no host, no time, no runtime."""
        return fingerprint(without_places(self.to_json()))


def _with_network(recipe: Any) -> Any:
    """Write the task's own network into a raw recipe whose model names none."""
    if not isinstance(recipe, dict) or not isinstance(task := recipe.get("task"), str) or task not in NETWORK_OF_TASK:
        return recipe
    model = recipe.get("model", {})
    return recipe | {"model": {"network": NETWORK_OF_TASK[task]} | model} if isinstance(model, dict) else recipe


def without_places(value: Any) -> Any:
    """Drop what says where something lies or runs; content is identified by the dataset's own hash."""
    places = {
        "labels",
        "images",
        "metadata",
        "hr_images",
        "lr_images",
        "folder",
        "baseline",
        "tracking_uri",
        "runtime",
        "description",
    }
    if isinstance(value, dict):
        kept = {k: without_places(v) for k, v in value.items() if k not in places}
        if "suite" in kept and isinstance(kept["suite"], str):
            del kept["suite"]
        if isinstance(kept.get("init"), str):
            kept["init"] = kept["init"].rpartition("/")[2]
        if isinstance(kept.get("pretrained"), str) and kept["pretrained"].startswith("/"):
            kept["pretrained"] = kept["pretrained"].rpartition("/")[2]  # a file: which one, not where
        return kept
    return [without_places(v) for v in value] if isinstance(value, list) else value
