"""What a running epoch's losses come to: summed on the device, kept in the position, added up over all ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from glyphyard.training.learner import Step
from glyphyard.training.position import Position
from glyphyard.training.ranks import Ranks


class EpochSums:
    """The sums of a running epoch; those of a rank lie in its position, where rank 0's checkpoint keeps all ranks'."""

    def __init__(self, position: Position, names: Sequence[str], ranks: Ranks) -> None:
        self.position, self.names, self.ranks = position, names, ranks
        self.on_device = torch.zeros(1 + len(names), device=ranks.device, dtype=torch.float64)  # loss, terms; no waiting for it

    def add(self, step: Step) -> None:
        """Take in a step."""
        for i, value in enumerate([step.loss, *(step.terms[name] for name in self.names)]):
            self.on_device[i] += value
        self.position.summed += 1

    def mean_loss(self) -> float | None:
        """Return the epoch's mean loss on this rank; None before its first step."""
        return self.position.mean_loss(float(self.on_device[0]))

    def take(self) -> None:
        """Move the sums from the device into the position."""
        loss, *terms = self.on_device.tolist()
        self.on_device.zero_()
        self.position.loss_sum += loss
        for name, value in zip(self.names, terms, strict=True):
            self.position.term_sums[name] = self.position.term_sums.get(name, 0.0) + value

    def of_all(self) -> tuple[int, float, dict[str, float]]:
        """Return what the positions of all ranks hold: steps, losses, terms."""
        position = self.position
        own = [position.summed, position.loss_sum, *(position.term_sums.get(name, 0.0) for name in self.names)]
        count, total, *terms = self.ranks.sum_(torch.tensor(own, dtype=torch.float64)).tolist()
        return int(count), total, dict(zip(self.names, terms, strict=True))

    def pool(self) -> None:
        """Move all ranks' sums to rank 0, whose state is the one that is saved."""
        self.take()
        sums = self.of_all()
        if self.ranks.rank == 0:
            self.position.put_sums(*sums)
        else:
            self.position.put_sums()
