from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from learnable import FromMemory, crops, same_weights, tiny_recipe, train
from training.test_loop import Stop, StopAfter, epochs_of

from glyphyard.core.errors import BadInput
from glyphyard.training.checkpoint import load_state
from glyphyard.training.loop import Loop
from glyphyard.training.ranks import SingleRank, TorchRanks

WORLD = 2
RECIPE_STAGES = [{"epochs": 2, "ema_decay": 0.9}]


def worker(rank: int, folder: Path) -> None:
    """One of two workers: an unbroken run, then one that stops after an epoch and goes on."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    ranks, recipe, data = TorchRanks(), tiny_recipe(RECIPE_STAGES), FromMemory(crops(41), crops(13, seed=1))
    seen = spy_on_sums()
    record = train(folder / "whole", recipe, data, ranks=ranks)
    assert all(r == record for r in ranks.gather(record))
    assert [sums[1] for sums in seen] == [13.0, 13.0]  # every validation row is counted once, on whichever rank
    with pytest.raises(Stop):
        train(folder / "cut", recipe, data, ranks=ranks, watch=StopAfter(1))
    ranks.barrier()
    trainer_weights = spy_on_weights()
    train(folder / "cut", recipe, data, ranks=ranks)
    learned = {name: value for name, value in trainer_weights[0].items() if "running" not in name}
    assert all(same_weights(learned, other) for other in ranks.gather(learned))
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


def test_two_workers_learn_the_same_weights_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    mp.spawn(worker, (tmp_path,), nprocs=WORLD)
    whole, cut = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("whole", "cut"))
    assert same_weights(whole["parts"], cut["parts"])
    assert same_weights(whole["ema"], cut["ema"])
    assert [row["step"] for row in epochs_of(tmp_path / "whole")] == [6, 12]  # 21 rows of the larger share in batches of 4
    assert whole["fingerprints"]["workers"] == WORLD
    with pytest.raises(BadInput, match="workers: it has 2, this run 1"):
        train(tmp_path / "whole", tiny_recipe(RECIPE_STAGES), FromMemory(crops(41), crops(13, seed=1)))


def test_a_batch_that_the_workers_cannot_share_is_refused(tmp_path: Path) -> None:
    alone = SingleRank()
    alone.world = 3
    with pytest.raises(BadInput, match="batch of 8 cannot be shared by 3 workers"):
        train(tmp_path, ranks=alone)
