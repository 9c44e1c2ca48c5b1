"""What two workers do in tests/training/test_outlined.py; here, because a spawned process imports it by this name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from learnable import same_weights
from outlining import outlining_recipe

from glyphyard.training.job import StageJob
from glyphyard.training.loop import Loop, open_ingest
from glyphyard.training.ranks import TorchRanks
from glyphyard.training.watch import Watch

WORLD = 2


def worker(rank: int, dataset: Path, folder: Path) -> None:
    """Train one epoch of two plates a step, one for each rank, one of them bare; both end with the same weights and figures."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    ranks = TorchRanks()
    loop = Loop(StageJob(outlining_recipe([{"epochs": 1}]), 0, dataset, folder), ranks, Watch(), open_ingest)
    if rank == 0:
        loop.ingest.train_rows.targets["labels"][0] = 0  # type: ignore[attr-defined]  # no gradient from boxes or masks of it
    record = loop.run()
    mine = {name: value.clone() for name, value in loop.learner.parts.state_dict().items()}
    assert all(same_weights(mine, other) for other in ranks.gather(mine))
    assert all(record.metrics == other for other in ranks.gather(record.metrics))
    dist.destroy_process_group()
