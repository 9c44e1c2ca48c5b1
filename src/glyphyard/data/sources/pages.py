"""Where pages come from; `list_pages` is the one place that tells the kinds of page sources apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from glyphyard.data.sources.page import Page, Problem, Region
from glyphyard.data.sources.polygon_csv import list_polygon_csv
from glyphyard.data.sources.synthetic_outlines import list_synthetic_outlines
from glyphyard.data.sources.synthetic_pages import list_synthetic_pages
from glyphyard.data.sources.yolo_folder import list_yolo_folder
from glyphyard.recipe.dataset import PageSource

__all__ = ["Page", "Problem", "Region", "list_pages"]

LISTERS: dict[str, Callable[[Any], list[Page]]] = {
    "yolo_folder": list_yolo_folder,
    "polygon_csv": list_polygon_csv,
    "synthetic_pages": list_synthetic_pages,
    "synthetic_outlines": list_synthetic_outlines,
}


def list_pages(source: PageSource) -> list[Page]:
    """Return all pages of a source in their stable order, opening no image."""
    return LISTERS[source.kind](source)
