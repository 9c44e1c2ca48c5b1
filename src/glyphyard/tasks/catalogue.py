"""The one place that looks at a recipe's task."""

from __future__ import annotations

from importlib import import_module

from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.base import Task

TASKS = {"recognition": "Recognition", "super_resolution": "SuperResolution", "segmentation": "Segmentation"}


def task_of(recipe: Recipe) -> Task:
    """Return the recipe's task; only its own room is imported (one brings torchvision, seconds of it)."""
    task: Task = getattr(import_module(f"glyphyard.tasks.{recipe.task}.task"), TASKS[recipe.task])(recipe)
    return task
