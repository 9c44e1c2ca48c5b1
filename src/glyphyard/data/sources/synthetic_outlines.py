"""`synthetic_outlines`: plates that are drawn when they are read, deterministic by seed and index."""

from __future__ import annotations

from glyphyard.data.sources.page import Page
from glyphyard.recipe.dataset import SyntheticOutlines


def list_synthetic_outlines(source: SyntheticOutlines) -> list[Page]:
    """List the plates of a synthetic source, grouped by what they read."""
    from glyphyard.data.synth_outlines import rows_of_plate  # brings OpenCV, for which `plan` has no time

    folder, seed = f"synthetic/outlines/{source.seed}", source.seed
    return [
        Page(
            source.name,
            f"{folder}/{i:07d}",
            None,
            None,
            group="".join(rows_of_plate(seed, i)),
            render=(seed, i, source.difficulty),
        )
        for i in range(source.count)
    ]
