"""The one place that looks at a recipe's task."""

from __future__ import annotations

from collections.abc import Callable

from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.base import Task
from glyphyard.tasks.recognition.task import Recognition
from glyphyard.tasks.segmentation.task import Segmentation
from glyphyard.tasks.super_resolution.task import SuperResolution

TASKS: dict[str, Callable[[Recipe], Task]] = {
    "recognition": Recognition,
    "super_resolution": SuperResolution,
    "segmentation": Segmentation,
}


def task_of(recipe: Recipe) -> Task:
    """Return the recipe's task."""
    return TASKS[recipe.task](recipe)
