"""What each start mode keeps: scratch nothing, finetune the weights, resume everything; and none of it unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from learnable import FromMemory, crops, epochs_of, same_weights, tiny_recipe, train
from restoring import GENERATOR, RECOGNISER, STAGES, restoring_recipe, untrained

from glyphyard.core.errors import BadInput
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import load_state, save_state
from glyphyard.training.job import StageJob
from glyphyard.training.learner import Learner
from glyphyard.training.ranks import SingleRank

SLOW_SCHEDULE = {"name": "constant", "warmup": 0.0}


def recipe(epochs: int, **stage: Any) -> Recipe:
    """A recipe whose step depends on its number alone, so that one long run and two short ones are the same."""
    return tiny_recipe([{"epochs": epochs, "losses": [{"term": "ctc"}], "schedule": SLOW_SCHEDULE, **stage}])


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("first")
    train(folder, recipe(2, ema_decay=0.9))
    return folder / "stage"


def test_resume_goes_on_to_the_weights_of_one_long_run(first: Path, tmp_path: Path) -> None:
    going_on = recipe(4, ema_decay=0.9, start="resume", init=str(first / "last.pt"))
    record = train(tmp_path / "on", going_on, parent=first / "last.pt")
    train(tmp_path / "whole", recipe(4, ema_decay=0.9))
    resumed, whole = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("on", "whole"))
    for part in ("parts", "ema"):
        assert same_weights(resumed[part], whole[part])
    assert resumed["optimizer"]["state"][0]["step"] == whole["optimizer"]["state"][0]["step"]
    standings = [{k: v for k, v in state["position"]["standing"].items() if k != "stale"} for state in (resumed, whole)]
    assert standings[0] == standings[1]  # but for its patience, which begins anew
    assert [row["epoch"] for row in epochs_of(tmp_path / "on")] == [1, 2, 3, 4]
    assert record.stopped == "finished"


def test_a_resumed_run_that_finds_nothing_better_keeps_the_best_it_came_with(first: Path, tmp_path: Path) -> None:
    worse = recipe(3, start="resume", init=str(first / "last.pt"), lr=10.0, clip_norm=0.0)
    record = train(tmp_path, worse, parent=first / "last.pt")
    before = load_state(first / "last.pt")["position"]["standing"]
    assert (record.epoch, record.metrics) == (before["best_epoch"], before["best"])
    assert (tmp_path / "stage" / "best.pt").read_bytes() == (first / "best.pt").read_bytes()


def test_a_resumed_run_that_is_killed_resumes_in_its_own_folder(first: Path, tmp_path: Path) -> None:
    from learnable import Stop, StopAfter

    going_on = recipe(5, ema_decay=0.9, start="resume", init=str(first / "last.pt"))
    with pytest.raises(Stop):
        train(tmp_path, going_on, watch=StopAfter(4), parent=first / "last.pt")
    assert load_state(tmp_path / "stage" / "last.pt")["position"]["epoch"] == 3
    train(tmp_path, going_on, parent=first / "last.pt")
    assert load_state(tmp_path / "stage" / "last.pt")["position"]["epoch"] == 5


def test_finetune_keeps_the_weights_alone(first: Path, tmp_path: Path) -> None:
    tuned = recipe(1, start="finetune", init=str(first / "best.pt"), lr=1e-9, finetune_lr=0.2)
    train(tmp_path, tuned, parent=first / "best.pt")
    came, now = load_state(first / "best.pt"), load_state(tmp_path / "stage" / "last.pt")
    for name, weight in now["parts"].items():
        if weight.is_floating_point() and "running" not in name:
            torch.testing.assert_close(weight, came["ema"][name], atol=1e-6, rtol=0)
    steps = now["optimizer"]["state"][0]["step"]
    assert steps == now["position"]["steps"] < came["optimizer"]["state"][0]["step"] + steps
    (row,) = epochs_of(tmp_path)
    assert row["epoch"] == 1
    assert row["lr"] == pytest.approx(0.2e-9)


def test_scratch_and_silence_keep_nothing(first: Path, tmp_path: Path) -> None:
    train(tmp_path / "silent", recipe(1))
    train(tmp_path / "scratch", recipe(1, start="scratch"), parent=first / "last.pt")
    silent, scratch = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("silent", "scratch"))
    assert same_weights(silent["parts"], scratch["parts"])
    assert not same_weights(silent["parts"], load_state(first / "last.pt")["parts"])


@pytest.mark.parametrize(
    ("stage", "data", "words"),
    [
        ({"epochs": 2}, "memory", ["2 epochs done", "raise `epochs`"]),
        ({"epochs": 4}, "other", ["dataset memory", "finetune"]),
        ({"epochs": 4, "optimizer": {"name": "sgd"}}, "memory", ["optimiser", "finetune"]),
    ],
    ids=["nothing left", "other data", "other optimiser"],
)
def test_what_cannot_go_on_says_why(first: Path, tmp_path: Path, stage: dict[str, Any], data: str, words: list[str]) -> None:
    going_on = recipe(**{"start": "resume", "init": str(first / "last.pt"), **stage})
    with pytest.raises(BadInput) as caught:
        train(tmp_path, going_on, FromMemory(crops(40), fingerprint=data), parent=first / "last.pt")
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("lacking", ["position", "fingerprints", "optimizer"])
@pytest.mark.parametrize("how", ["none", "gone"])
def test_weights_alone_cannot_go_on(first: Path, tmp_path: Path, lacking: str, how: str) -> None:
    state = load_state(first / "last.pt")
    made_elsewhere = {k: v for k, v in state.items() if k != lacking} | ({lacking: None} if how == "none" else {})
    save_state(made_elsewhere, tmp_path / "nopos.pt")
    going_on = recipe(4, ema_decay=0.9, start="resume", init=str(tmp_path / "nopos.pt"))
    with pytest.raises(BadInput, match=rf"nopos\.pt.*{lacking}.*finetune"):
        train(tmp_path, going_on, parent=tmp_path / "nopos.pt")


def test_an_average_that_was_not_kept_begins_with_the_weights(tmp_path: Path) -> None:
    train(tmp_path / "plain", recipe(1))
    last = tmp_path / "plain" / "stage" / "last.pt"
    averaged = recipe(2, ema_decay=0.999, start="resume", init=str(last), lr=1e-9)
    train(tmp_path / "on", averaged, parent=last)
    came, now = load_state(last), load_state(tmp_path / "on" / "stage" / "last.pt")
    torch.testing.assert_close(now["ema"]["model.head.weight"], came["parts"]["model.head.weight"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("held", "fresh"),
    [(["generator", "recogniser", "confusion"], None), (["generator", "recogniser"], None), (["recogniser"], "generator")],
)
def test_a_part_that_starts_from_random_weights_is_said_once(tmp_path: Path, held: list[str], fresh: str | None) -> None:
    whole = load_state(untrained(tmp_path))
    some = {name: weight for name, weight in whole["parts"].items() if name.split(".")[0] in held}
    save_state(whole | {"parts": some}, tmp_path / "some.pt")
    lcofl = [stage["name"] for stage in STAGES].index("lcofl")
    job = StageJob(made := restoring_recipe(), lcofl, tmp_path, tmp_path / "stage", tmp_path / "some.pt")
    told = Learner(job, task_of(made), SingleRank()).told
    assert told is None if fresh is None else told is not None and fresh in told and "recogniser" not in told
    job.stage_dir.mkdir()
    job.last.touch()  # a stage that goes on has its own weights
    assert Learner(job, task_of(made), SingleRank()).told is None


@pytest.mark.parametrize(("held", "loads"), [("generator", True), ("recogniser", False)])
def test_a_recogniser_that_the_checkpoint_lacks_starts_from_its_released_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str, loads: bool
) -> None:
    def load_released(network: torch.nn.Module, which: str, alphabet: object) -> str:
        torch.nn.init.constant_(next(network.parameters()), 7.0)
        return ""

    monkeypatch.setattr("glyphyard.tasks.readers.permuted.load_released", load_released)
    reader = RECOGNISER | {"stem": "patches", "patch": [4, 8], "pretrained": "weights.pt"}
    made = restoring_recipe(model={"generator": {"scale": 2, **GENERATOR}, "recogniser": reader})
    some = {name: weight for name, weight in task_of(made).build().state_dict().items() if name.startswith(held)}
    save_state({"parts": some, "ema": None}, tmp_path / "some.pt")
    lcofl = [stage["name"] for stage in STAGES].index("lcofl")
    job = StageJob(made, lcofl, tmp_path, tmp_path / "stage", tmp_path / "some.pt")
    learner = Learner(job, task_of(made), SingleRank())
    assert bool((next(learner.parts["recogniser"].parameters()) == 7).all()) == loads
    assert learner.told is not None
    assert ("weights.pt" in learner.told) == loads
