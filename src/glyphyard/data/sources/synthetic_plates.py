"""`synthetic_plates`: rows that are rendered when they are read; their texts are known from seed and index alone."""

from __future__ import annotations

from glyphyard.data.sources.row import Row
from glyphyard.recipe.dataset import SyntheticPlates


def list_synthetic_plates(source: SyntheticPlates, limit: int | None = None) -> list[Row]:
    """List the rows of a synthetic source, the first `limit` of them where one is given."""
    count = source.count if limit is None else min(limit, source.count)
    if not count:
        return []
    from glyphyard.data.synth import plate_text  # brings OpenCV, for which `plan` has no time

    listed_in, folder = f"synthetic_plates {source.name}", f"synthetic/{source.family}/{source.seed}"
    return [
        Row(
            source.name,
            listed_in,
            i,
            f"{folder}/{i:07d}",
            plate_text(source.seed, i, source.family),
            render=(source.family, source.seed, i, source.difficulty),
            min_width_px=source.min_width_px or 0,
        )
        for i in range(count)
    ]
