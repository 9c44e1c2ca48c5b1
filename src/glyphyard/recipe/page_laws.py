"""Laws of pages: which sources a task can learn from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from glyphyard.recipe.breach import Breach
from glyphyard.recipe.segmentation_laws import SEGMENTATION_LAWS
from glyphyard.recipe.yolo_laws import YOLO_LAWS

if TYPE_CHECKING:
    from glyphyard.recipe.recipe import Recipe

PAGE_KINDS = {"detection": ("yolo_folder", "synthetic_pages"), "segmentation": ("polygon_csv", "synthetic_outlines")}
ALL_PAGE_KINDS = tuple(kind for kinds in PAGE_KINDS.values() for kind in kinds)


def sources_fit_the_task(recipe: Recipe) -> Iterator[Breach]:
    """GY076: boxes are for detection, polygons for segmentation, crops with texts for readers."""
    wanted = PAGE_KINDS.get(recipe.task)
    for i, source in enumerate(recipe.dataset.sources):
        fits = source.kind in wanted if wanted else source.kind not in ALL_PAGE_KINDS
        if not fits:
            yield Breach(
                ("dataset", "sources", i),
                f"`kind: {source.kind}` against `task: {recipe.task}`",
                f"use {' or '.join(wanted)}" if wanted else "use a source of crops with texts",
            )


PAGE_LAWS = (sources_fit_the_task, *YOLO_LAWS, *SEGMENTATION_LAWS)
