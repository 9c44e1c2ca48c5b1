"""What two workers do in tests/training/test_mining.py; here, because a spawned process imports it by this name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.distributed as dist
from learnable import same_weights
from restoring import STAGES, restoring_recipe

from glyphyard.training.job import StageJob
from glyphyard.training.loop import Loop, open_ingest
from glyphyard.training.ranks import TorchRanks
from glyphyard.training.watch import Watch

WORLD = 2


def worker(rank: int, dataset: Path, folder: Path) -> None:
    """Train both parts together, then mine hard rows; both ranks end with the same weights, books and miner."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    ranks = TorchRanks()
    parent = folder / "best.pt"
    for i, stage in enumerate((STAGES[3], STAGES[4])):
        place = folder / str(i)
        place.mkdir(exist_ok=True)
        loop = Loop(StageJob(restoring_recipe([{**stage, "epochs": 2}]), 0, dataset, place, parent), ranks, Watch(), open_ingest)
        loop.run()
        parent = place / "best.pt"
        mine = {name: value.clone() for name, value in loop.learner.parts.state_dict().items()}
        assert all(same_weights(mine, other) for other in ranks.gather(mine))
        assert mine["confusion.seen"].any()
        if loop.miner is not None:
            state = loop.miner.state()
            assert all(same_weights(state, other) for other in ranks.gather(state))
            rows = sum(ranks.gather(len(loop.ingest.train_rows.texts)))  # type: ignore[attr-defined]
            assert len(state["ids"]) == rows
            assert (state["times"] > 0).all()  # every row of both ranks was read in the first epoch
    dist.destroy_process_group()
