"""`synthetic_words`: handwriting-like lines that are rendered when they are read; their texts are known from seed and index."""

from __future__ import annotations

from glyphyard.data.sources.row import Row
from glyphyard.recipe.dataset import SyntheticWords


def list_synthetic_words(source: SyntheticWords, limit: int | None = None) -> list[Row]:
    """List the rows of a synthetic source, the first `limit` of them where one is given."""
    count = source.count if limit is None else min(limit, source.count)
    if not count:
        return []
    from glyphyard.data.synth_words import WORDS, words_of  # brings OpenCV, for which `plan` has no time

    return [
        Row(
            source.name,
            f"synthetic_words {source.name}",
            i,
            f"synthetic/{WORDS}/{source.seed}/{i:07d}",
            words_of(source.seed, i),
            render=(WORDS, source.seed, i, source.difficulty),
            min_width_px=source.min_width_px or 0,
        )
        for i in range(count)
    ]
