"""Rows kept in memory and rows streamed through Ray Data teach the same loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glyphyard.data.prepare import prepare
from glyphyard.recipe.load import load_recipe
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.ingest import ResidentIngest, StreamedIngest, open_ingest
from glyphyard.training.job import StageJob
from glyphyard.training.loop import train_stage
from glyphyard.training.ranks import SingleRank

TINY = Path(__file__).parents[2] / "recipes" / "tiny" / "florida_crnn.yaml"


@pytest.mark.ray
def test_a_split_over_the_memory_budget_is_streamed_and_learned_from(
    ray_session: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(TINY, ["dataset.sources.synthetic.count=600", "runtime.resident_budget_mb=1", "stages.0.epochs=1"])
    dataset = prepare(recipe.dataset, recipe.model.capacity(recipe.dataset.image.width), tmp_path / "store", in_process=True)
    job, task, rank = StageJob(recipe, 0, dataset, tmp_path / "stage"), task_of(recipe), SingleRank("cpu")
    streamed = open_ingest(job, task, rank)
    assert isinstance(streamed, StreamedIngest)
    roomy = StageJob(
        recipe.model_copy(update={"runtime": recipe.runtime.model_copy(update={"resident_budget_mb": 64})}), 0, dataset, tmp_path
    )
    resident = open_ingest(roomy, task, rank)
    assert isinstance(resident, ResidentIngest)
    held = {int(i): image for i, image in zip(resident.train_rows.ids, resident.train_rows.images, strict=True)}
    rows = next(streamed.train(0, 0))
    assert all(torch.equal(held[int(i)], image) for i, image in zip(rows.ids, rows.images, strict=True))
    assert train_stage(job, rank).epoch == 1
