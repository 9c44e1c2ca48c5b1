from __future__ import annotations

from pathlib import Path

import pytest
import torch.multiprocessing as mp
from learnable import FromMemory, crops, epochs_of, same_weights, tiny_recipe, train
from two_ranks import RECIPE_STAGES, WORLD, worker

from glyphyard.core.errors import BadInput
from glyphyard.training.checkpoint import load_state
from glyphyard.training.ranks import SingleRank
from glyphyard.training.watch import EpochRow


def measured(row: EpochRow) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in ("stage", "crops_per_s", "seconds")}


def test_two_workers_learn_the_same_weights_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    mp.spawn(worker, (tmp_path,), nprocs=WORLD)
    whole, cut, within = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("whole", "cut", "within"))
    for other in (cut, within):
        assert same_weights(whole["parts"], other["parts"])
        assert same_weights(whole["ema"], other["ema"])
    # What was learnt before the kill counts once, and of both ranks.
    for row, other in zip(*(epochs_of(tmp_path / name) for name in ("whole", "within")), strict=True):
        assert measured(row) == pytest.approx(measured(other), rel=1e-12)
    assert len(epochs_of(tmp_path / "few")) == 1
    assert [row["step"] for row in epochs_of(tmp_path / "whole")] == [6, 12, 18]  # 21 rows of the larger share in batches of 4
    assert whole["fingerprints"]["workers"] == WORLD
    with pytest.raises(BadInput, match="workers: it has 2, this run 1"):
        train(tmp_path / "whole", tiny_recipe(RECIPE_STAGES), FromMemory(crops(41), crops(13, seed=1)))


def test_a_batch_that_the_workers_cannot_share_is_refused(tmp_path: Path) -> None:
    alone = SingleRank()
    alone.world = 3
    with pytest.raises(BadInput, match="batch of 8 cannot be shared by 3 workers"):
        train(tmp_path, ranks=alone)
