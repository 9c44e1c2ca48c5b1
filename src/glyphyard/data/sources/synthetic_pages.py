"""`synthetic_pages`: pages that are drawn when they are read, deterministic by seed and index."""

from __future__ import annotations

from glyphyard.data.sources.page import Page
from glyphyard.recipe.dataset import SyntheticPages


def list_synthetic_pages(source: SyntheticPages) -> list[Page]:
    """List the pages of a synthetic source, grouped by writer; where their lines stand is known when they are drawn."""
    from glyphyard.data.synth.pages import writer_of  # brings OpenCV, for which `plan` has no time

    folder, seed = f"synthetic/pages/{source.seed}", source.seed
    return [
        Page(
            source.name,
            f"{folder}/{i:07d}",
            None,
            None,
            group=f"writer {writer_of(seed, i)}",
            render=(seed, i, source.difficulty),
        )
        for i in range(source.count)
    ]
