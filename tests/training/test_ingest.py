"""Rows kept in memory and rows streamed through Ray Data teach the same loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from restoring import restoring_recipe

from glyphyard.data.prepare import prepare
from glyphyard.data.resident import ResidentSplit
from glyphyard.recipe.load import load_recipe
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.ingest import ResidentIngest, StreamedIngest, held_out, open_ingest
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


def test_rows_that_are_drawn_again_lie_where_the_others_do() -> None:
    recipe = restoring_recipe()
    drawn = recipe.stages[0].model_copy(update={"validation_draws": 3})
    job = StageJob(recipe.model_copy(update={"stages": (drawn,)}), 0, Path(), Path())
    split = ResidentSplit(torch.zeros(2, 16, 48, dtype=torch.uint8), ["AB1", "CD2"], torch.arange(2), ["drawn", "drawn"])
    draws = held_out(job, task_of(recipe), split, torch.device("meta"))  # of what is no CPU, this much is everywhere
    assert len(draws) == 3
    assert {values.device.type for rows in draws for values in (rows.images, *rows.targets.values())} == {"meta"}
