"""Which training rows are read badly, and how often they come then: by dataset index, over all ranks, from easy to hard.

N rows of the whole split, B rows of a step on all ranks together. Every rank holds the same miner: it is told what all of them
read, so any rank's state is the whole state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glyphyard.data.sampling import generator_for
from glyphyard.recipe.stage import HardMiningConfig

LEAST = 0.05  # weight of a row that is always read right: what is never drawn again is forgotten
HARD = 0.5  # a row of which at least half the characters are misread


class HardExampleMiner:
    """The difficulty of each row: the share of its characters that is misread, averaged over the epochs, new ones first."""

    def __init__(self, ids_N: Tensor, config: HardMiningConfig) -> None:
        self.config = config
        self.ids_N = ids_N.sort().values
        self.difficulty_N = torch.zeros(len(ids_N), dtype=torch.float64)
        self.times_N = torch.zeros(len(ids_N), dtype=torch.int64)
        self.in_use_N: Tensor | None = None  # the difficulties that rows are drawn by, since the last look; NaN: not read by then

    def note(self, ids_B: Tensor, misread_B: Tensor) -> None:
        """Take in what share of each row's characters was misread; a row that comes twice in a step counts by its mean."""
        places, back = torch.searchsorted(self.ids_N, ids_B).unique(return_inverse=True)
        count = torch.zeros(len(places), dtype=torch.float64).index_add_(0, back, torch.ones(len(back), dtype=torch.float64))
        found = torch.zeros(len(places), dtype=torch.float64).index_add_(0, back, misread_B.double()) / count
        keep = torch.where(self.times_N[places] > 0, self.config.memory, 0.0)
        self.difficulty_N[places] = keep * self.difficulty_N[places] + (1 - keep) * found
        self.times_N[places] += 1

    def has_read(self) -> bool:
        """Say whether any row was read."""
        return bool((self.times_N > 0).any())

    def end_epoch(self, epochs_done: int) -> None:
        """Look at the difficulties anew where `reweight_interval` says so; only here does the drawing change."""
        if epochs_done % self.config.reweight_interval == 0 and bool((read := self.times_N > 0).any()):
            self.in_use_N = torch.where(read, self.difficulty_N, torch.nan)

    def stats(self) -> dict[str, float]:
        """Return the mean difficulty of the rows that were seen, and the share of hard ones among them."""
        seen = self.difficulty_N[self.times_N > 0]
        if not len(seen):
            return {"hard_mining_stats": 0.0, "hard_share": 0.0}
        return {"hard_mining_stats": float(seen.mean()), "hard_share": float((seen >= HARD).double().mean())}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"ids": self.ids_N, "difficulty": self.difficulty_N, "times": self.times_N, "in_use": self.in_use_N}

    def restore(self, state: dict[str, Any]) -> None:
        """Put the state of a checkpoint back."""
        self.ids_N, self.difficulty_N, self.times_N = state["ids"], state["difficulty"], state["times"]
        self.in_use_N = state["in_use"]


def _without(weights: Tensor, hopeless: Tensor) -> Tensor:
    """Return the weights without those of hopeless rows, unless there are no others."""
    left = torch.where(hopeless, 0.0, weights)
    return left if bool(left.sum() > 0) else weights


class CurriculumSampler:
    """Draws a rank's rows by their difficulty: from the easier ones at first, from all of them later.

    `sources` of the rank's rows and the `shares` they are to have (none: as many as there are) hold whatever is hard; only a
    source of which all rows still wait has none.
    """

    def __init__(
        self, miner: HardExampleMiner, ids_of_rank: Tensor, sources: Sequence[str] = (), shares: Mapping[str, float] | None = None
    ) -> None:
        self.miner, self.ids_of_rank = miner, ids_of_rank
        names = np.asarray(sources, dtype=object).astype(str)
        self.shares = [(torch.from_numpy(names == name), share) for name, share in (shares or {}).items()]

    def weights(self, done: float) -> Tensor | None:
        """Return each of the rank's rows' weight, (rows,) float64, when a share `done` of the stage is over; None: all alike.

        The hardest rows of the whole split, those beyond the curriculum's share, wait with weight 0, the hopeless ones for good.
        """
        if self.miner.in_use_N is None:
            return None
        # What was not read counts as average: as easy, it would shut the rows that are known to be hard out.
        config, known = self.miner.config, self.miner.in_use_N.nan_to_num(float(self.miner.in_use_N.nanmean()))
        share = 1.0 if done >= config.full_at else config.start_share + (1 - config.start_share) * done / config.full_at
        # By value: of rows that are equally hard none waits for the others, whichever source was named first.
        hardest = known.sort().values[max(1, round(share * len(known))) - 1]
        weights = torch.where(known <= hardest, (known + LEAST) ** config.difficulty_alpha, 0.0)
        hopeless = self.miner.in_use_N > config.most_misread
        places = torch.searchsorted(self.miner.ids_N, self.ids_of_rank)
        mine = self._shared(weights[places], hopeless[places])
        return mine if bool(mine.sum() > 0) else torch.ones_like(mine)

    def _shared(self, weights: Tensor, hopeless: Tensor) -> Tensor:
        if not self.shares:
            return _without(weights, hopeless)
        shared = torch.zeros_like(weights)
        for rows, share in self.shares:
            of_source = _without(weights[rows], hopeless[rows])
            total = of_source.sum()
            shared[rows] = share * of_source / total if total > 0 else 0.0
        return shared

    def order(self, batch: int, steps: int, seed: int, epoch: int, rank: int, done: float) -> Tensor | None:
        """Return (steps, batch) indices into the rank's rows for an epoch; None while every row should come once."""
        weights = self.weights(done)
        if weights is None:
            return None
        drawn = torch.multinomial(weights, steps * batch, replacement=True, generator=generator_for(seed, epoch, rank))
        return drawn.view(steps, batch)
