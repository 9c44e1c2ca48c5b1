"""What a reader of text is to a task. Shapes: N images, T steps or positions, K classes (0: CTC's blank, or the END), L characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import Reading


@dataclass(frozen=True)
class Read:
    """What a network read in a batch: log-probabilities (T,N,K) float32, class ids (N,T) padded with 0, lengths (N,)."""

    log_probs_TNK: Tensor
    ids_NT: Tensor
    lengths_N: Tensor


@contextmanager
def as_shipped(network: nn.Module) -> Iterator[None]:
    """Let a network read as what is shipped does, and not learn from it: no dropout, no batch-norm statistics."""
    learning = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(learning)


class Reader(Protocol):
    """A strategy without state; the network it works on is handed to each call, wrapped for DDP or bare."""

    term_names: tuple[str, ...]  # of the losses it can give
    method: str  # how its output is decoded: a key of core.decoding.DECODERS
    alphabet: Alphabet

    def build(self) -> nn.Module:
        """Return a freshly initialised network."""
        ...

    def warm_start(self, network: nn.Module) -> str | None:
        """Load the released weights that the recipe names and say what they know; nothing where it names none."""
        ...

    def losses(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
        """Return at least the wanted terms; `targets`: "labels" (N,L) padded with 0 and "lengths" (N,)."""
        ...

    def read(self, network: nn.Module, images: Tensor) -> Read:
        """Read as what is shipped does."""
        ...

    def validate(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> tuple[Read, Tensor]:
        """Read a validation batch with the bare network, and return its mean loss per sample, without dice, as well."""
        ...

    def readings(self, log_probs_TNK: Tensor) -> list[Reading]:
        """Turn log-probabilities into texts with confidences."""
        ...

    def character_losses(
        self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor], weights_V: Tensor, q: float
    ) -> tuple[Tensor, Tensor]:
        """Return LCOFL's classification (`bounded` by q) and layout terms, with gradients through the network to the images."""
        ...
