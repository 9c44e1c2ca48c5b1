"""Ray Train: the same weights as without it, two workers, and an error that reads as one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glyphyard.cluster.train import train_on_ray
from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.data.prepare import prepare
from glyphyard.recipe.load import load_recipe
from glyphyard.training.checkpoint import load_state
from glyphyard.training.job import StageJob
from glyphyard.training.loop import train_stage
from glyphyard.training.ranks import SingleRank

TINY = Path(__file__).parents[2] / "recipes" / "tiny" / "florida_crnn.yaml"
FASTER = ["dataset.sources.synthetic.count=120", "stages.main.epochs=2"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = load_recipe(TINY, FASTER)
    return prepare(recipe.dataset, Capacity(32), tmp_path_factory.mktemp("store"), in_process=True)


def job(dataset: Path, stage_dir: Path, *overrides: str) -> StageJob:
    return StageJob(load_recipe(TINY, [*FASTER, *overrides]), 0, dataset, stage_dir)


@pytest.mark.ray
@pytest.mark.slow
def test_one_worker_gives_the_weights_of_the_bare_loop(ray_session: None, dataset: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    bare = train_stage(job(dataset, tmp_path / "bare"), SingleRank())
    through_ray = train_on_ray(job(dataset, tmp_path / "ray", "runtime.cpus_per_worker=1"))
    assert through_ray.metrics == bare.metrics
    ours, theirs = (load_state(tmp_path / place / "last.pt")["parts"] for place in ("bare", "ray"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_share_every_row(ray_session: None, dataset: Path, tmp_path: Path) -> None:
    record = train_on_ray(job(dataset, tmp_path / "two", "runtime.workers=2"))
    assert record.epoch >= 1
    assert load_state(tmp_path / "two" / "last.pt")["fingerprints"]["workers"] == 2


@pytest.mark.ray
def test_more_workers_than_processors_end_at_once(ray_session: None, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="32 workers"):
        train_on_ray(job(dataset, tmp_path / "many", "runtime.workers=32"))


@pytest.mark.ray
@pytest.mark.slow
def test_what_a_worker_raises_arrives_as_it_was(ray_session: None, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "last.pt").write_bytes(b"torn")
    with pytest.raises(BadInput, match=r"last\.pt"):
        train_on_ray(job(dataset, tmp_path / "torn"))
