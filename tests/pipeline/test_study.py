"""The persisted study: what is left of it when its driver is gone, and what it says about trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.pipeline.study import STORAGE_VARIABLE, SweepStudy
from glyphyard.recipe.sweep import Dimension, SweepConfig

SPACE = {
    "stages.main.lr": {"loguniform": [1e-4, 1e-1]},
    "stages.main.optimizer.name": {"choice": ["adamw", "sgd"]},
    "stages.main.optimizer.momentum": {"uniform": [0.8, 0.9], "when": {"stages.main.optimizer.name": "sgd"}},
    "model.channels": {"choice": [[4, 4, 8, 8], [8, 8, 16, 16]]},
}


def config(**changes: Any) -> SweepConfig:
    made: dict[str, Any] = {
        "name": "s",
        "recipe": "r.yaml",
        "space": SPACE,
        "objective": {"metric": "cer", "direction": "minimize"},
        "asha": {"grace_epochs": 2, "reduction_factor": 2},
        "budget": {"trials": 30},
        "startup_trials": 4,
        "sampler": "random",
    }
    return SweepConfig.model_validate(made | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sweep's folder."""
    (tmp_path / "sweep").mkdir()
    return tmp_path / "sweep"


def train(study: SweepStudy, number: int, curve: list[float]) -> int:
    """Report a curve until the study stops it; return the epochs done."""
    for epoch, value in enumerate(curve, 1):
        if not study.report(number, epoch, value):
            study.stop(number, f"ASHA after epoch {epoch}")
            return epoch
    study.complete(number, min(curve))
    return len(curve)


def test_rungs_survive_the_driver(folder: Path) -> None:
    first = SweepStudy(config(), folder)
    for curve in ([0.9, 0.30, 0.2, 0.2], [0.9, 0.29, 0.2, 0.2], [0.9, 0.28, 0.2, 0.2]):
        assert train(first, first.ask()[0], curve) == 4
    again = SweepStudy(config(), folder)  # as after a SIGKILL: nothing but the database
    assert train(again, again.ask()[0], [0.5, 0.5, 0.5]) == 2, "worse at the rung than the first session's trials"
    assert train(again, again.ask()[0], [0.99, 0.1, 0.1, 0.1]) == 4, "no decision before the grace epoch"
    stopped = again.table()[3]
    assert (stopped.state, stopped.reason) == ("stopped", "ASHA after epoch 2")
    assert stopped.curve == {1: 0.5, 2: 0.5}


def test_without_asha_every_trial_goes_on(folder: Path) -> None:
    study = SweepStudy(config(asha=None), folder)
    assert [train(study, study.ask()[0], [v] * 5) for v in (0.1, 0.9, 0.95)] == [5, 5, 5]


def test_an_unfinished_trial_is_taken_up_with_its_values_and_leaves_no_orphan(folder: Path) -> None:
    study = SweepStudy(config(), folder)
    number, values = study.ask()
    study.report(number, 1, 0.7)
    again = SweepStudy(config(), folder)
    assert again.unfinished() == [number]
    assert again.take_up(number) == values
    assert again.report(number, 1, 0.1), "an epoch that is known is told again by a resumed trial"
    assert again.table()[0].curve == {1: 0.7}
    again.complete(number, 0.6)
    assert again.unfinished() == []
    assert [t.value for t in again.best()] == [0.6]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_resumed_sweep_does_not_throw_the_first_sessions_dice_again(folder: Path, sampler: str) -> None:
    drawn = []
    for _ in range(2):  # sessions
        study = SweepStudy(config(sampler=sampler, startup_trials=2), folder)
        for _ in range(3):
            number, values = study.ask()
            drawn.append(values["stages.main.lr"])
            study.complete(number, values["stages.main.lr"])
    assert len(set(drawn)) == 6


def test_the_gaussian_process_learns_from_the_study(folder: Path) -> None:
    space = {"model.dropout": {"uniform": [0.0, 0.5]}}
    for _ in range(3):
        study = SweepStudy(config(sampler="gp", space=space, startup_trials=2), folder)
        number, values = study.ask()
        assert 0.0 <= values["model.dropout"] <= 0.5
        study.complete(number, values["model.dropout"])


def test_the_same_seed_draws_the_same_trials(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, two = SweepStudy(config(), folder), SweepStudy(config(), tmp_path / "other")
    assert [one.ask() for _ in range(3)] == [two.ask() for _ in range(3)]


def test_conditional_fields_and_lists_come_back_as_stated(folder: Path) -> None:
    study = SweepStudy(config(), folder)
    asked = [study.ask()[1] for _ in range(12)]
    for values in asked:
        assert ("stages.main.optimizer.momentum" in values) == (values["stages.main.optimizer.name"] == "sgd")
        assert values["model.channels"] in ([4, 4, 8, 8], [8, 8, 16, 16])
    assert [t.values for t in study.table()] == asked


def test_the_base_recipes_own_point_comes_first(folder: Path) -> None:
    own = {"stages.main.lr": 0.002, "stages.main.optimizer.name": "adamw", "model.channels": [4, 4, 8, 8]}
    study = SweepStudy(config(), folder, own)
    assert study.asked() == 0
    assert study.ask() == (0, own)
    assert study.ask()[1] != own


def test_a_grid_is_visited_once_over_all_sessions(folder: Path) -> None:
    space = {"model.layers": {"int": [1, 3]}, "model.dropout": {"uniform": [0.0, 0.4], "points": 2}}
    seen = []
    for _ in range(2):
        study = SweepStudy(config(sampler="grid", space=space, budget={"hours": 1.0}), folder)
        for _ in range(3):
            assert not study.exhausted()
            number, values = study.ask()
            seen.append((values["model.layers"], values["model.dropout"]))
            study.complete(number, 0.5)
    assert SweepStudy(config(sampler="grid", space=space, budget={"hours": 1.0}), folder).exhausted()
    assert sorted(seen) == [(n, d) for n in (1, 2, 3) for d in (0.0, 0.4)]


def test_the_budget_counts_what_was_handed_out(folder: Path) -> None:
    study = SweepStudy(config(budget={"trials": 2}), folder)
    study.fail(study.ask()[0], "the loss became NaN")
    assert not study.exhausted()
    study.ask()
    assert study.exhausted()
    assert (study.table()[0].state, study.table()[0].reason) == ("failed", "the loss became NaN")
    assert study.best() == []


def test_importances_name_the_field_that_matters(folder: Path) -> None:
    space = {"stages.main.lr": Dimension(loguniform=(1e-4, 1e-1)), "model.dropout": Dimension(uniform=(0.0, 0.5))}
    study = SweepStudy(config(space=space), folder)
    assert study.importances() == {}
    for _ in range(14):
        number, values = study.ask()
        study.complete(number, abs(values["stages.main.lr"] - 0.03))
    shares = study.importances()
    assert shares["stages.main.lr"] > 2 * shares["model.dropout"]


def test_a_missing_package_or_a_wrong_url_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("glyphyard.pipeline.study.importlib.util.find_spec", lambda name: None)
        with pytest.raises(BadInput, match="cmaes"):
            SweepStudy(config(sampler="cmaes"), folder)
    monkeypatch.setenv(STORAGE_VARIABLE, "sqlite:////no/such/folder/study.db?password=secret")
    with pytest.raises(BadInput, match="storage") as caught:
        SweepStudy(config(), folder)
    assert "secret" not in str(caught.value)
