"""A detector on two Ray workers: ultralytics' loop in the process group that Ray Train made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dark_pages import dark_recipe, random_places, write_pages

from glyphyard.cluster.train import train_on_ray
from glyphyard.core.capacity import Capacity
from glyphyard.data.prepare_pages import prepare_pages
from glyphyard.training.checkpoint import load_state
from glyphyard.training.job import StageJob


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_train_one_detector(ray_session: None, tmp_path: Path) -> None:
    sides = {"train": random_places(10, 1), "val": random_places(5, 2), "test": random_places(3, 3)}
    folder = write_pages(tmp_path / "pages", sides)
    recipe = dark_recipe(folder, {"epochs": 2}, runtime={"workers": 2, "cpus_per_worker": 1})
    dataset = prepare_pages(recipe.dataset, Capacity(300), tmp_path / "store", in_process=True)
    record = train_on_ray(StageJob(recipe, 0, dataset, tmp_path / "stage"))
    assert record.stopped == "finished"
    state = load_state(tmp_path / "stage" / "last.pt")
    assert state["fingerprints"]["workers"] == 2
    rows = [json.loads(line) for line in (tmp_path / "stage" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(row["step"] == 3 * row["epoch"] for row in rows)  # five pages a worker, two at a time
    assert all(row["val_loss"] > 0 for row in rows)
