"""Which rows a rank sees in an epoch, and in which order: a function of seed, epoch and rank, of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from glyphyard.core.errors import BadInput
from glyphyard.recipe.stage import SamplingConfig


def steps_per_epoch(n_total: int, batch_per_rank: int, world: int, sampling: SamplingConfig) -> int:
    """Return the steps of an epoch, the same on every rank: enough for the rank with the most rows."""
    rows = sampling.samples_per_epoch or n_total if sampling.mode == "weighted" else n_total
    rows_per_rank = -(-rows // world)
    return max(1, -(-rows_per_rank // batch_per_rank))


def epoch_indices(
    n_rows_of_rank: int,
    n_total: int,
    batch_per_rank: int,
    world: int,
    sampling: SamplingConfig,
    sources: Sequence[str],
    seed: int,
    epoch: int,
    rank: int,
) -> torch.Tensor:
    """Return (steps, batch_per_rank) int64 indices into this rank's rows.

    `shuffle`: every row once, then the first again until the last batch is full. `weighted`: each place draws its source by
    the sources' shares (multinomial), and a source's rows come in turns, shuffled anew each turn, so none is favoured.
    """
    if n_rows_of_rank < 1:
        raise BadInput("dataset", f"{n_total} rows leave none for worker {rank} of {world}", "use fewer workers or more rows")
    places = steps_per_epoch(n_total, batch_per_rank, world, sampling) * batch_per_rank
    generator = generator_for(seed, epoch, rank)
    if sampling.mode == "shuffle":
        order = torch.randperm(n_rows_of_rank, generator=generator)
        return order[torch.arange(places) % n_rows_of_rank].view(-1, batch_per_rank)
    return _weighted(places, sampling.weights, sources, generator).view(-1, batch_per_rank)


def generator_for(*key: int | str) -> torch.Generator:
    """Return a CPU generator of its own for (seed, epoch, rank): near keys give unrelated streams."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _weighted(places: int, weights: Mapping[str, float], sources: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    names, source_of_row = np.unique(np.asarray(sources, dtype=object).astype(str), return_inverse=True)
    shares = torch.tensor([weights.get(name, 0.0) for name in names], dtype=torch.float64)
    if not shares.sum() > 0:
        problem = f"none of the weighted sources {sorted(weights)} has rows here (there are {list(map(str, names))})"
        raise BadInput("sampling.weights", problem, "name sources whose rows stand in train")
    drawn = torch.multinomial(shares, places, replacement=True, generator=generator)
    out = torch.empty(places, dtype=torch.int64)
    for k in range(len(names)):
        at = torch.nonzero(drawn == k).flatten()
        rows = torch.from_numpy(np.flatnonzero(source_of_row == k))
        turns = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(-(-len(at) // len(rows)))]
        if turns:
            out[at] = torch.cat(turns)[: len(at)]
    return out
