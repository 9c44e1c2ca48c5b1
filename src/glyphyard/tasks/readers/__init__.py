"""How a network reads, learns to read, and is shipped: one strategy a network, chosen here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

from glyphyard.core.alphabet import Alphabet
from glyphyard.recipe.dataset import ImageConfig
from glyphyard.recipe.model import ReaderConfig
from glyphyard.tasks.readers.base import Reader
from glyphyard.tasks.readers.ctc import CtcReader
from glyphyard.tasks.readers.permuted import PermutedReader

READERS: dict[str, Callable[..., Reader]] = {"crnn": CtcReader, "parseq": PermutedReader}


def reader_of(model: ReaderConfig, image: ImageConfig, alphabet: Alphabet) -> Reader:
    """Return the strategy of a network for images of this size and this alphabet."""
    return READERS[model.network](model, image, alphabet)
