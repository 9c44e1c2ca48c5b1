"""One run of a recipe: its folder, what stands where in it, and its way to Ray."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import CheckpointRecord, DatasetManifest
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig
from glyphyard.training.job import CHECKPOINT, StageJob


@dataclass(frozen=True)
class Run:
    """One run of a recipe in its folder; paths of what each step makes."""

    recipe: Recipe
    folder: Path
    store: Path
    console: Console
    resources: ExitStack = field(default_factory=ExitStack)
    launch: Callable[[StageJob], CheckpointRecord] | None = None  # in place of the recipe's launcher: a sweep's trials

    def connect(self) -> None:
        """Connect to Ray where the recipe asks for it; a step that is skipped never does."""
        if self.recipe.runtime.launcher == "ray":
            from glyphyard.cluster.session import connected

            self.resources.enter_context(connected(say=self.say))

    def check_room(self) -> None:
        """Refuse more workers or GPUs than there are, once connected: Ray would wait for ever, and preparing takes long."""
        runtime = self.recipe.runtime
        if runtime.launcher == "ray":
            from glyphyard.cluster.preflight import share_out
            from glyphyard.cluster.session import free_resources

            share_out(runtime, free_resources())
        elif runtime.gpus_per_worker > 0:
            import torch

            if not torch.cuda.is_available():
                problem = "asks for a GPU, torch finds none on this machine"
                raise BadInput("runtime.gpus_per_worker", problem, "set it to 0 to train on the CPU")

    def say(self, line: str) -> None:
        """Print one line for a person."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)

    @property
    def suite(self) -> SuiteConfig:
        """The suite that judges this run."""
        assert self.recipe.suite is not None  # `load_recipe` always reads it
        return self.recipe.suite

    @cached_property
    def dataset(self) -> Path:
        """Folder of the prepared dataset (known after `prepare`)."""
        return (self.folder / read_json(self.folder / "dataset.json")["folder"]).resolve()

    @property
    def manifest(self) -> DatasetManifest:
        """The prepared dataset's manifest."""
        return DatasetManifest.read(self.dataset / "manifest.json")

    def stage_dir(self, index: int) -> Path:
        """Folder of a stage's checkpoints and metrics."""
        return self.folder / "stages" / f"{index}-{self.recipe.stages[index].name}"

    def checkpoint(self, index: int) -> CheckpointRecord:
        """What a finished stage left."""
        return CheckpointRecord.read(self.stage_dir(index) / CHECKPOINT)

    @property
    def bundle(self) -> Path:
        """Folder of the exported bundle."""
        return self.folder / "bundle"
