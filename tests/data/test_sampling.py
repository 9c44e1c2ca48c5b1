"""Epoch indices: every row, equal steps, the same for the same (seed, epoch, rank)."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.data.sampling import epoch_indices, steps_per_epoch
from glyphyard.recipe.stage import SamplingConfig

SHUFFLE = SamplingConfig()


def indices(total, batch, world, rank=0, sampling=SHUFFLE, sources=None, seed=1, epoch=0):
    mine = len(range(rank, total, world))
    names = (sources or ["s"] * total)[rank::world]
    return epoch_indices(mine, total, batch, world, sampling, names, seed, epoch, rank)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 6), st.integers(0, 99))
def test_every_row_once_and_then_the_first_again(total, batch, world, epoch):
    world = min(world, total)
    for rank in range(world):
        mine = len(range(rank, total, world))
        drawn = indices(total, batch, world, rank, epoch=epoch)
        assert drawn.shape == (steps_per_epoch(total, batch, world, SHUFFLE), batch)
        flat = drawn.flatten().tolist()
        assert sorted(flat[:mine]) == list(range(mine))
        assert flat[mine:] == [flat[k % mine] for k in range(mine, len(flat))]
        assert len(flat) - mine < batch + 1


def test_the_order_depends_on_seed_epoch_and_rank_only():
    first = indices(101, 8, 2)
    assert torch.equal(first, indices(101, 8, 2))
    for other in ({"seed": 2}, {"epoch": 1}):
        assert not torch.equal(first, indices(101, 8, 2, **other))
    assert not torch.equal(indices(100, 10, 2, rank=0), indices(100, 10, 2, rank=1))


def test_weighted_shares_come_close_and_no_row_is_favoured():
    sources = ["real"] * 60 + ["synth"] * 540 + ["unused"] * 10
    sampling = SamplingConfig(mode="weighted", weights={"real": 1.0, "synth": 3.0}, samples_per_epoch=4000)
    drawn = indices(610, 40, 1, sampling=sampling, sources=sources)
    assert drawn.shape == (100, 40)
    rows = Counter(drawn.flatten().tolist())
    counts = Counter({name: sum(n for i, n in rows.items() if sources[i] == name) for name in set(sources)})
    assert counts["unused"] == 0
    assert counts["real"] / 4000 == pytest.approx(0.25, abs=0.03)
    for name in ("real", "synth"):
        times = [rows[i] for i, source in enumerate(sources) if source == name]
        assert max(times) - min(times) <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 200), st.integers(1, 16), st.integers(1, 4), st.none() | st.integers(1, 500))
def test_weighted_steps_are_equal_on_all_ranks(total, batch, world, samples):
    sampling = SamplingConfig(mode="weighted", weights={"s": 1.0}, samples_per_epoch=samples)
    drawn = [indices(total, batch, world, rank, sampling) for rank in range(world)]
    assert len({tuple(d.shape) for d in drawn}) == 1
    assert drawn[0].numel() * world >= (samples or total)
    for rank, d in enumerate(drawn):
        assert 0 <= int(d.min()) <= int(d.max()) < len(range(rank, total, world))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(BadInput, match="worker 3 of 4"):
        indices(3, 2, 4, rank=3)
    with pytest.raises(BadInput, match="weights"):
        indices(3, 2, 1, sampling=SamplingConfig(mode="weighted", weights={"other": 1.0}))
