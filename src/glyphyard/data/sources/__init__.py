"""Where rows come from; `list_rows` is the one place that tells the kinds of sources apart."""

from __future__ import annotations

from glyphyard.data.sources.plate_tsv import list_plate_tsv
from glyphyard.data.sources.row import Row
from glyphyard.data.sources.synthetic_plates import list_synthetic_plates
from glyphyard.recipe.dataset import AnySource, PlateTsv

__all__ = ["Row", "list_rows"]


def list_rows(source: AnySource, limit: int | None = None) -> list[Row]:
    """Return all rows of a source in their stable order, opening no image; `limit` bounds rendered sources only."""
    if isinstance(source, PlateTsv):
        return list_plate_tsv(source)
    return list_synthetic_plates(source, limit)
