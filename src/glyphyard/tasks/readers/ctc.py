"""A reader that learns by CTC: a class or a blank at each time step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import Reading, greedy_decode
from glyphyard.core.decoding import CTC
from glyphyard.core.errors import BadInput
from glyphyard.nn.crnn import Crnn
from glyphyard.nn.losses import ctc_loss, ctc_losses, flat_start_loss, kinds_of
from glyphyard.recipe.dataset import ImageConfig
from glyphyard.recipe.model import CrnnConfig
from glyphyard.tasks.readers.base import Read
from glyphyard.tasks.readers.scoring import greedy_ids


class CtcReader:
    """Crnn and its losses; see `readers.base.Reader`."""

    term_names: tuple[str, ...] = ("ctc", "flat_start")
    method = CTC

    def __init__(self, model: CrnnConfig, image: ImageConfig, alphabet: Alphabet) -> None:
        self.model, self.image, self.alphabet = model, image, alphabet
        if image.width % 4:
            raise BadInput("dataset.image.width", f"expected a multiple of 4 pixels, found {image.width}")

    def build(self) -> nn.Module:
        """Return a Crnn."""
        return Crnn(self.model, self.image.channels, self.image.height, self.alphabet.num_classes)

    def warm_start(self, network: nn.Module) -> str | None:
        """Return nothing: there are no released weights."""
        return None

    def losses(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
        """Return "ctc", the mean over samples of the loss per character, and "flat_start", a rough alignment to begin with."""
        log_probs_TNK = network(images)
        terms = {"ctc": ctc_loss(log_probs_TNK, targets["labels"], targets["lengths"])}
        if "flat_start" in wanted:
            terms["flat_start"] = flat_start_loss(log_probs_TNK, targets["labels"], targets["lengths"])
        return terms

    def read(self, network: nn.Module, images: Tensor) -> Read:
        """Read greedily."""
        log_probs_TNK = network(images)
        return Read(log_probs_TNK, *greedy_ids(log_probs_TNK))

    def validate(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> tuple[Read, Tensor]:
        """Read, and return the CTC loss of what was read."""
        read = self.read(network, images)
        return read, ctc_loss(read.log_probs_TNK, targets["labels"], targets["lengths"])

    def character_losses(
        self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor], weights_V: Tensor, q: float
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted CTC loss, and the wrong kind's probability along the alignments."""
        kinds = kinds_of(self.alphabet).to(images.device)
        return ctc_losses(network(images), targets["labels"], targets["lengths"], weights_V, kinds, q)

    def readings(self, log_probs_TNK: Tensor) -> list[Reading]:
        """Decode greedily, with confidences."""
        return greedy_decode(log_probs_TNK.cpu().numpy(), self.alphabet)
