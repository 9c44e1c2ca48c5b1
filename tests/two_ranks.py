"""What two workers do in tests/training/test_ranks.py; here, because a spawned process imports it by this name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from learnable import FromMemory, Stop, StopAfter, crops, same_weights, tiny_recipe, train

from glyphyard.training import loop
from glyphyard.training.loop import Loop
from glyphyard.training.ranks import TorchRanks

WORLD = 2
RECIPE_STAGES = [{"epochs": 3, "ema_decay": 0.9}]


def worker(rank: int, folder: Path) -> None:
    """One of two workers: an unbroken run, then one that is cut off in its second epoch and goes on."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    ranks, recipe, data = TorchRanks(), tiny_recipe(RECIPE_STAGES), FromMemory(crops(41), crops(13, seed=1))
    seen = spy_on_sums()
    record = train(folder / "whole", recipe, data, ranks=ranks)
    assert all(r == record for r in ranks.gather(record))
    assert [sums[1] for sums in seen] == [13.0] * 3  # every validation row is counted once, on whichever rank
    with pytest.raises(Stop):
        train(folder / "cut", recipe, data, ranks=ranks, watch=StopAfter(2))
    ranks.barrier()
    weights = spy_on_weights()
    train(folder / "cut", recipe, data, ranks=ranks)
    assert all(same_weights(weights[0], other) for other in ranks.gather(weights[0]))
    loop.CHECK_EVERY_STEPS = 2
    with pytest.raises(Stop):  # the state on disk is of the fourth of six steps
        train(folder / "within", recipe, data, ranks=ranks, watch=StopAfter(2), checkpoint_every_s=0.0)
    ranks.barrier()
    train(folder / "within", recipe, data, ranks=ranks)
    few = FromMemory(crops(41), crops(1, seed=1))  # nothing to validate for the second rank
    train(folder / "few", tiny_recipe([{"epochs": 1}]), few, ranks=ranks)
    dist.destroy_process_group()


def spy_on_sums() -> list[list[float]]:
    seen: list[list[float]] = []
    sum_ = TorchRanks.sum_

    def spy(self: TorchRanks, values: torch.Tensor) -> torch.Tensor:
        total = sum_(self, values)
        if len(total) == 6:
            seen.append(total.tolist())
        return total

    TorchRanks.sum_ = spy  # type: ignore[method-assign]
    return seen


def spy_on_weights() -> list[dict[str, torch.Tensor]]:
    seen: list[dict[str, torch.Tensor]] = []
    finish = Loop._finish

    def spy(self: Loop) -> object:
        seen.append(self.learner.parts.state_dict())
        return finish(self)

    Loop._finish = spy  # type: ignore[assignment,method-assign]
    return seen
