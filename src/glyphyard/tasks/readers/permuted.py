"""A reader that learns texts in permuted orders and writes them position by position."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import Reading
from glyphyard.core.decoding import ATTENTION, attention_decode
from glyphyard.core.errors import BadInput
from glyphyard.nn.losses import kinds_of, plm_loss, position_losses
from glyphyard.nn.parseq import Parseq
from glyphyard.nn.permutations import blind_sight, draw_orders, reading_sight, sight
from glyphyard.nn.released import load_released
from glyphyard.recipe.dataset import ImageConfig
from glyphyard.recipe.model import ParseqConfig
from glyphyard.tasks.readers.base import Read
from glyphyard.tasks.readers.scoring import ended_ids


class PermutedReader:
    """Parseq and its loss; see `readers.base.Reader`."""

    term_names: tuple[str, ...] = ("plm",)
    method = ATTENTION

    def __init__(self, model: ParseqConfig, image: ImageConfig, alphabet: Alphabet) -> None:
        self.model, self.image, self.alphabet = model, image, alphabet

    def build(self) -> nn.Module:
        """Return a Parseq."""
        return Parseq(self.model, self.image.channels, self.image.height, self.image.width, self.alphabet.num_classes)

    def warm_start(self, network: nn.Module) -> str | None:
        """Load the released PARSeq that `model.pretrained` names, its characters brought into this alphabet's order."""
        if self.model.pretrained is None:
            return None
        assert isinstance(network, Parseq)
        strangers = load_released(network, self.model.pretrained, self.alphabet)
        told = f"PARSeq starts from {self.model.pretrained}"
        return f"{told}, which does not know {strangers}" if strangers else told

    def losses(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
        """Return "plm", over orders drawn for this batch: all of them in one pass of the decoder."""
        labels_NL = self._checked(targets["labels"])
        orders = draw_orders(labels_NL.shape[1], self.model.permutations)
        logits_NKLV = network(images, labels_NL, sight(orders).to(images.device))
        return {"plm": plm_loss(logits_NKLV, labels_NL, targets["lengths"])}

    def read(self, network: nn.Module, images: Tensor) -> Read:
        """Read as `model.decode` and `model.refine` say."""
        log_probs_TNK = network(images)
        return Read(log_probs_TNK, *ended_ids(log_probs_TNK))

    def validate(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]) -> tuple[Read, Tensor]:
        """Read, and return the cross-entropy in reading order, each character in sight of the true ones before it."""
        assert isinstance(network, Parseq)
        labels_NL, image = self._checked(targets["labels"]), network.look(images)
        log_probs_TNK = network.read(image, self.model.decode, self.model.refine).transpose(0, 1)
        logits_NKLV = network.permuted(image, labels_NL, reading_sight(labels_NL.shape[1] + 1).to(images.device))
        return Read(log_probs_TNK, *ended_ids(log_probs_TNK)), plm_loss(logits_NKLV, labels_NL, targets["lengths"])

    def character_losses(
        self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor], weights_V: Tensor, q: float
    ) -> tuple[Tensor, Tensor]:
        """Return weighted cross-entropy and the wrong kind's probability, each position read from the picture alone.

        In sight of the true neighbours the language would read what the picture does not show.
        """
        labels_NL, kinds = self._checked(targets["labels"]), kinds_of(self.alphabet).to(images.device)
        logits_NPV = network(images, labels_NL, blind_sight(labels_NL.shape[1] + 1).to(images.device))[:, 0]
        return position_losses(logits_NPV, labels_NL, targets["lengths"], weights_V, kinds, q)

    def readings(self, log_probs_TNK: Tensor) -> list[Reading]:
        """Decode up to each END, with confidences."""
        return attention_decode(log_probs_TNK.cpu().numpy(), self.alphabet)

    def _checked(self, labels_NL: Tensor) -> Tensor:
        if labels_NL.shape[1] > self.model.max_length:
            problem = f"texts of up to {labels_NL.shape[1]} characters against model.max_length {self.model.max_length}"
            raise BadInput("dataset", problem, "raise model.max_length")
        return labels_NL
