"""Where rows come from; `list_rows` is the one place that tells the kinds of sources apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from glyphyard.data.sources.name_csv import list_name_csv
from glyphyard.data.sources.plate_pairs import list_plate_pairs
from glyphyard.data.sources.plate_tsv import list_plate_tsv
from glyphyard.data.sources.row import Row
from glyphyard.data.sources.synthetic_plates import list_synthetic_plates
from glyphyard.data.sources.synthetic_words import list_synthetic_words
from glyphyard.recipe.dataset import AnySource

__all__ = ["Row", "list_rows"]

LISTERS: dict[str, Callable[[Any, int | None], list[Row]]] = {
    "plate_tsv": lambda source, _: list_plate_tsv(source),
    "synthetic_plates": list_synthetic_plates,
    "plate_pairs": lambda source, _: list_plate_pairs(source),
    "name_csv": lambda source, _: list_name_csv(source),
    "synthetic_words": list_synthetic_words,
}


def list_rows(source: AnySource, limit: int | None = None) -> list[Row]:
    """Return all rows of a source in their stable order, opening no image; `limit` bounds rendered sources only."""
    return LISTERS[source.kind](source, limit)
