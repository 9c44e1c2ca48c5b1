"""What two workers do in tests/training/test_detector_ranks.py; here, because a spawned process imports it by this name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from dark_pages import dark_recipe
from learnable import Stop, StopAfter, same_weights

from glyphyard.core.records import CheckpointRecord
from glyphyard.training.checkpoint import load_state
from glyphyard.training.detector import train_detector
from glyphyard.training.job import StageJob
from glyphyard.training.ranks import TorchRanks
from glyphyard.training.watch import Watch

WORLD, ROWS = 2, 10


def worker(rank: int, folder: Path, pages: Path, dataset: Path) -> None:
    """One of two workers: every row is seen by one of them, and a stage that was cut off goes on to the same weights."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(WORLD), "GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    ranks = TorchRanks()

    def train(name: str, watch: Watch | None = None) -> CheckpointRecord:
        return train_detector(StageJob(dark_recipe(pages, {"epochs": 2}), 0, dataset, folder / name), ranks, watch)

    seen = spy_on_rows()
    record = train("whole")
    assert all(other == record for other in ranks.gather(record))
    epochs = [set(rows) for rows in zip(*[iter(seen)] * (ROWS // WORLD))]
    for mine in epochs:
        both = ranks.gather(mine)
        assert set().union(*both) == set(range(ROWS)), both
        assert not both[0] & both[1]
    with pytest.raises(Stop):
        train("cut", StopAfter(2))
    ranks.barrier()
    train("cut")
    ours, theirs = (load_state(folder / name / "last.pt")["parts"] for name in ("cut", "whole"))
    assert same_weights(ours, theirs)
    dist.destroy_process_group()


def spy_on_rows() -> list[int]:
    """Return a list that fills with the training rows of this rank, in the order in which they are seen."""
    from glyphyard.nn.yolo import open_ultralytics

    open_ultralytics(dist.get_rank(), WORLD)
    from glyphyard.training.detector_data import PageDataset

    seen: list[int] = []
    get = PageDataset.__getitem__

    def spy(self: PageDataset, index: int) -> object:
        if self.augment:
            seen.append(index)
        return get(self, index)

    PageDataset.__getitem__ = spy  # type: ignore[method-assign, assignment]
    return seen
