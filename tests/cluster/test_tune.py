"""Ray Tune as the hands of a sweep: who runs when, what is carried back, and what a dying process leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glyphyard.cluster.tune import Wait, run_trials, slots_of, train_told
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.records import CheckpointRecord
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.sweep import TrialResources
from glyphyard.training.job import StageJob

TINY = Path(__file__).parents[2] / "recipes" / "tiny" / "florida_crnn.yaml"


@pytest.mark.parametrize(
    ("resources", "cluster", "concurrency", "slots"),
    [
        ({}, {"CPU": 8}, None, 8),
        ({}, {"CPU": 8}, 3, 3),
        ({"workers": 2, "cpus_per_worker": 3}, {"CPU": 16}, None, 2),
        ({"gpus_per_worker": 0.5}, {"CPU": 16, "GPU": 2}, None, 4),
        ({"gpus_per_worker": 0.6}, {"CPU": 16, "GPU": 2}, None, 2),
        ({"gpus_per_worker": 1, "workers": 2}, {"CPU": 16, "GPU": 5}, None, 2),
        ({"gpus_per_worker": 0.1}, {"CPU": 4, "GPU": 1}, 99, 4),
    ],
)
def test_trials_at_a_time_are_bounded_by_what_fits(
    resources: dict[str, Any], cluster: dict[str, float], concurrency: int | None, slots: int
) -> None:
    assert slots_of(TrialResources(**resources), cluster, concurrency) == slots


@pytest.mark.parametrize("resources", [{"workers": 4}, {"cpus_per_worker": 3}, {"gpus_per_worker": 0.5}])
def test_a_trial_that_never_fits_ends_at_once(resources: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="the cluster has"):
        slots_of(TrialResources(**resources), {"CPU": 2.0})


class Owner:
    """Hands out folders and keeps what comes back; stops the trial called "stopped" after its second epoch."""

    def __init__(self, folders: list[Path], then: list[Path]) -> None:
        self.line, self.then = list(folders), list(then)
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.open: set[str] = set()
        self.ticks = 0

    def next(self) -> Path | Wait | None:
        if not self.line and self.then:
            if self.open:
                return Wait.WAIT
            self.line, self.then = self.then, []
        if not self.line:
            return None
        self.open.add(self.line[0].name)
        return self.line.pop(0)

    def epoch_ended(self, folder: Path, row: dict[str, Any]) -> bool:
        self.rows.setdefault(folder.name, []).append(row)
        if folder.name == "stopped" and row["epoch"] == 2:
            self.open.discard(folder.name)
            return False
        return True

    def ended(self, folder: Path, outcome: dict[str, Any]) -> None:
        self.open.discard(folder.name)
        self.outcomes[folder.name] = outcome

    def tick(self) -> None:
        self.ticks += 1


@pytest.mark.ray
@pytest.mark.slow
def test_trials_are_placed_told_stopped_and_outlived(ray_session: None, tmp_path: Path) -> None:
    def work(folder: Path, tell: Callable[[dict[str, Any]], None], launch: object) -> dict[str, Any]:
        import os
        import time

        for epoch in range(1, 4):
            begun = time.time()
            time.sleep(0.3)
            tell({"epoch": epoch, "from": begun, "to": time.time(), "pid": os.getpid()})
            if folder.name == "dies":
                os._exit(9)
        return {"state": "complete", "metrics": {"cer": 0.5}, "seconds": 1.0}

    names = ["a", "stopped", "dies", "b", "c"]
    owner = Owner([tmp_path / n for n in names], [tmp_path / "late"])
    assert run_trials(owner, work, TrialResources(), None, tmp_path / "ray") == 2
    assert {n for n, o in owner.outcomes.items() if o["state"] == "complete"} == {"a", "b", "c", "late"}
    assert owner.outcomes["dies"]["state"] == "failed"
    assert "its process died" in owner.outcomes["dies"]["reason"]
    assert [r["epoch"] for r in owner.rows["stopped"]] == [1, 2], "no epoch after the decision"
    assert "stopped" not in owner.outcomes
    assert owner.ticks > 5
    spans = [(r["from"], r["to"], name) for name, rows in owner.rows.items() for r in rows]
    assert max(len({n for a, b, n in spans if a <= at < b}) for at, _, _ in spans) <= 2, "no more at a time than fit"
    assert min(r["from"] for r in owner.rows["late"]) >= max(b for _, b, n in spans if n != "late"), "WAIT is waited for"
    pids = {r["pid"] for rows in owner.rows.values() for r in rows}
    assert len(pids) < len(owner.rows), "a process is used for more than one trial"


def test_a_group_of_workers_is_followed_by_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(TINY, ["runtime.workers=2"])
    job = StageJob(recipe, 0, tmp_path, tmp_path)
    old = {"epoch": 1, "cer": 0.9}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(old) + "\n")

    def group(asked: StageJob) -> CheckpointRecord:
        assert asked is job
        for epoch in (2, 3):
            with (tmp_path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"epoch": epoch, "cer": 0.5}) + "\n")
            time.sleep(0.2)
        return CheckpointRecord("main", "p", "s", None, "r", "d", 3, {"cer": 0.5}, 1.0)

    monkeypatch.setattr("glyphyard.cluster.train.train_on_ray", group)
    told: list[dict[str, Any]] = []
    assert train_told(job, told.append).epoch == 3
    assert [(r["epoch"], r.get("replayed", False)) for r in told] == [(1, True), (2, False), (3, False)]

    def broken(asked: StageJob) -> CheckpointRecord:
        raise StepFailed("stage main", "the loss became NaN")

    monkeypatch.setattr("glyphyard.cluster.train.train_on_ray", broken)
    with pytest.raises(StepFailed, match="NaN"):
        train_told(job, told.append)
