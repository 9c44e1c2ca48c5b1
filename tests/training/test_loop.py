from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from learnable import FromMemory, Stop, StopAfter, crops, epochs_of, part, same_weights, tiny_recipe, train

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import make_folder
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.catalogue import task_of
from glyphyard.tasks.recognition.task import Recognition
from glyphyard.training.checkpoint import load_parts, load_state
from glyphyard.training.ema import Ema
from glyphyard.training.job import StageJob
from glyphyard.training.loop import Loop
from glyphyard.training.ranks import SingleRank
from glyphyard.training.watch import Watch


def scripted(monkeypatch: pytest.MonkeyPatch, cers: list[float]) -> None:
    """Let the validations of a stage measure these, one after the other, whatever was learned."""
    script = iter(cers)
    monkeypatch.setattr(
        Recognition, "metrics", lambda *_: {"loss": 1.0, "cer": next(script), "exact_match": 0.0, "length_accuracy": 0.0}
    )


def test_eight_crops_are_learned_by_heart(tmp_path: Path) -> None:
    eight = crops(8)
    again = part(eight, torch.arange(8).repeat(25))
    model = {
        "channels": [8, 12, 16, 24],
        "blocks": [1, 1, 1, 1],
        "expansion": 2,
        "features": 48,
        "hidden": 48,
        "layers": 1,
        "dropout": 0.0,
    }
    still = {"rotate_deg": 0.0, "brightness": 0.0, "contrast": 0.0, "blur_sigma_px": 0.0}
    stage = {"epochs": 12, "lr": 1e-2, "guards": [{"metric": "exact_match", "max": 0.99}]}
    record = train(tmp_path, tiny_recipe([stage], model=model, augmentation=still), FromMemory(again, eight))
    assert record.metrics["exact_match"] == 1.0
    assert record.metrics["cer"] == 0.0
    assert record.stopped.startswith("guard: exact_match")


def test_a_stage_leaves_its_record_its_figures_and_its_checkpoints(tmp_path: Path) -> None:
    record = train(tmp_path)
    rows = epochs_of(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in rows] == [5, 10]
    assert set(rows[0]) == {
        "stage",
        "epoch",
        "step",
        "train_loss",
        "train_ctc",
        "train_flat_start",
        "val_loss",
        "cer",
        "exact_match",
        "length_accuracy",
        "lr",
        "crops_per_s",
        "seconds",
    }
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    assert record.metrics["cer"] == rows[record.epoch - 1]["cer"]
    assert json.loads((tmp_path / "stage" / "progress.json").read_text())["phase"] == "done"
    assert (record.dataset_fingerprint, record.recipe_fingerprint) == ("memory", tiny_recipe().fingerprint)
    load_parts(Path(record.path), task_of(tiny_recipe()).build())


def test_the_same_seed_gives_the_same_weights_and_another_one_others(tmp_path: Path) -> None:
    recipes: list[Recipe] = [tiny_recipe(), tiny_recipe(), tiny_recipe(seed=8)]
    states = []
    for n, recipe in enumerate(recipes):
        train(tmp_path / str(n), recipe)
        states.append(load_state(tmp_path / str(n) / "stage" / "last.pt")["parts"])
    assert same_weights(states[0], states[1])
    assert not same_weights(states[0], states[2])


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    record = train(tmp_path)
    before = (tmp_path / "stage" / "last.pt").stat().st_mtime_ns
    assert train(tmp_path) == record
    assert (tmp_path / "stage" / "last.pt").stat().st_mtime_ns == before


def test_checkpoints_that_are_gone_or_cut_short_are_told_with_what_to_do(tmp_path: Path) -> None:
    record, (last, best) = train(tmp_path), (tmp_path / "stage" / name for name in ("last.pt", "best.pt"))
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"last\.pt.*cut short.*delete it"):
        train(tmp_path)
    last.write_bytes(whole)
    best.unlink()
    with pytest.raises(BadInput, match=r"best\.pt.*gone.*last\.pt.*anew"):
        train(tmp_path)
    last.unlink()
    assert train(tmp_path).metrics == record.metrics


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_stage_cut_off_between_epochs_ends_with_the_same_weights(tmp_path: Path, ema_decay: float) -> None:
    recipe = tiny_recipe([{"epochs": 3, "ema_decay": ema_decay}])
    train(tmp_path / "whole", recipe)
    with pytest.raises(Stop):
        train(tmp_path / "cut", recipe, watch=StopAfter(2))  # epoch 2 is written down, but not in the checkpoint yet
    train(tmp_path / "cut", recipe)
    whole, cut = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("whole", "cut"))
    assert same_weights(whole["parts"], cut["parts"])
    if ema_decay:
        assert same_weights(whole["ema"], cut["ema"])
    assert [row["epoch"] for row in epochs_of(tmp_path / "cut")] == [1, 2, 3]


def test_a_state_of_another_recipe_dataset_or_worker_count_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(BadInput, match="recipe"):
        train(tmp_path, tiny_recipe(seed=9))
    with pytest.raises(BadInput, match="dataset"):
        train(tmp_path, data=FromMemory(fingerprint="another"))


def test_steps_in_place_of_epochs_may_end_within_one(tmp_path: Path) -> None:
    record = train(tmp_path, tiny_recipe([{"steps": 7}]))
    assert [row["step"] for row in epochs_of(tmp_path)] == [5, 7]
    assert record.epoch in (1, 2)


def test_validation_may_be_rarer_than_epochs_but_never_misses_the_last(tmp_path: Path) -> None:
    train(tmp_path, tiny_recipe([{"epochs": 3, "validate_every_epochs": 2}]))
    assert [row["cer"] is None for row in epochs_of(tmp_path)] == [True, False, False]


def test_a_lost_loss_names_epoch_step_rate_and_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    factors = iter([1.0] * 6 + [float("nan")])
    loss = Recognition.loss

    def lose_it(*args: Any) -> dict[str, torch.Tensor]:
        factor = next(factors)
        return {name: term * factor for name, term in loss(*args).items()}

    monkeypatch.setattr(Recognition, "loss", lose_it)
    with pytest.raises(StepFailed, match=r"epoch 2, step 2 \(lr .*NaN.*lower lr"):
        train(tmp_path)


def test_too_little_memory_is_one_line_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Recognition, "loss", no_room)
    with pytest.raises(StepFailed, match=r"out of memory.*smaller batch_size"):
        train(tmp_path)


def test_a_state_without_numbers_is_never_kept_where_the_norm_is_looked_at_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors, loss = iter([1.0, 1.0, float("nan"), 1.0]), Recognition.loss

    def lose_it(*args: Any) -> dict[str, torch.Tensor]:
        factor = next(factors)
        return {name: term * factor for name, term in loss(*args).items()}

    monkeypatch.setattr(Recognition, "loss", lose_it)
    make_folder(tmp_path / "stage")
    job = StageJob(tiny_recipe(), 0, tmp_path, tmp_path / "stage", checkpoint_every_s=0)
    loop = Loop(job, SingleRank("cpu"), Watch(), FromMemory())
    loop.check_every = 20  # as on a GPU
    with pytest.raises(StepFailed, match="NaN"):
        loop.run()
    kept = load_state(tmp_path / "stage" / "last.pt")
    assert kept["position"]["step"] == 2
    assert all(torch.isfinite(values).all() for values in kept["parts"].values())


def test_early_stop_ends_a_stage_and_the_best_epoch_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.6, 0.6, 0.1])
    record = train(tmp_path, tiny_recipe([{"epochs": 9, "early_stop": {"patience_epochs": 2}}]))
    assert record.stopped.startswith("early stop")
    assert (record.epoch, record.metrics["cer"]) == (2, 0.4)
    assert load_state(Path(record.path))["position"]["epoch"] == 2


def test_a_guard_that_stops_fails_or_rolls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def recipe(action: str) -> Recipe:
        return tiny_recipe([{"epochs": 3, "guards": [{"metric": "cer", "max": 0.8, "action": action}]}])

    scripted(monkeypatch, [0.5, 0.9])
    assert train(tmp_path / "stop", recipe("stop")).stopped == "guard: cer 0.9 is above 0.8"
    scripted(monkeypatch, [0.9])
    assert train(tmp_path / "at once", recipe("stop")).epoch == 1  # nothing else is there to ship
    scripted(monkeypatch, [0.5, 0.9])
    with pytest.raises(StepFailed, match=r"epoch 2.*cer 0\.9 is above 0\.8"):
        train(tmp_path / "fail", recipe("fail"))
    scripted(monkeypatch, [0.9])
    with pytest.raises(StepFailed, match="no epoch was good"):
        train(tmp_path / "nowhere", recipe("rollback"))
    scripted(monkeypatch, [0.5, 0.9, 0.9])
    record = train(tmp_path / "back", recipe("rollback"))
    best, last = (load_state(tmp_path / "back" / "stage" / name) for name in ("best.pt", "last.pt"))
    assert record.epoch == 1
    assert same_weights(best["parts"], last["parts"])  # the last epoch was taken back, too


def test_a_stage_may_go_back_to_what_it_started_from_and_never_leaves_anything_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recipe(**guard: Any) -> Recipe:
        return tiny_recipe(
            [{"name": "a"}, {"name": "b", "epochs": 2, "guards": [{"metric": "cer", "action": "rollback", **guard}]}]
        )

    scripted(monkeypatch, [0.5, 0.4])
    parent = Path(train(tmp_path / "a", recipe(max=0.8)).path)
    before = load_state(parent)["parts"]

    scripted(monkeypatch, [0.4, 0.9, 0.9])  # the first is of what it starts from
    record = train(tmp_path / "floor", recipe(max=0.8), stage_index=1, parent=parent)
    assert (record.epoch, record.metrics["cer"]) == (0, 0.4)
    for name in ("best.pt", "last.pt"):
        assert same_weights(load_state(tmp_path / "floor" / "stage" / name)["parts"], before)

    scripted(monkeypatch, [0.4, 0.5, 0.45])  # within bounds, and yet no better
    record = train(tmp_path / "no_gain", recipe(worse_by=0.2), stage_index=1, parent=parent)
    assert record.epoch == 0
    assert same_weights(load_state(Path(record.path))["parts"], before)
    assert not same_weights(load_state(tmp_path / "no_gain" / "stage" / "last.pt")["parts"], before)

    scripted(monkeypatch, [0.4, 0.7, 0.3])  # worse by more than 0.2 of the start, then better
    record = train(tmp_path / "gain", recipe(worse_by=0.2), stage_index=1, parent=parent)
    assert (record.epoch, record.metrics["cer"]) == (2, 0.3)
    assert [row["epoch"] for row in epochs_of(tmp_path / "gain")] == [1, 2]


def test_the_average_is_what_is_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    measure = Recognition.measure

    def spy(self: Recognition, parts: torch.nn.ModuleDict, *rest: object) -> torch.Tensor:
        seen.append({name: value.clone() for name, value in parts.state_dict().items()})
        return measure(self, parts, *rest)

    monkeypatch.setattr(Recognition, "measure", spy)
    train(tmp_path, tiny_recipe([{"ema_decay": 0.9}]))
    last = load_state(tmp_path / "stage" / "last.pt")
    assert same_weights(seen[-1], last["ema"])
    assert not same_weights(last["parts"], last["ema"])


def test_a_second_stage_starts_from_its_parent_and_a_frozen_part_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(
        [
            {"name": "first"},
            {"name": "second", "lr": 1e-9, "optimizer": {"weight_decay": 0.0}},
            {"name": "third", "init": "scratch"},
        ]
    )
    first = train(tmp_path / "1", recipe)
    second = train(tmp_path / "2", recipe, stage_index=1, parent=Path(first.path))
    assert second.parent == first.path
    before, after = (load_state(Path(r.path))["parts"] for r in (first, second))
    learned = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in learned)
    with pytest.raises(BadInput, match="train the stage before it first"):
        train(tmp_path / "3", recipe, stage_index=1)
    train(tmp_path / "4", recipe, stage_index=2)


def test_parts_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    for stage in ({"train": ["generator"]}, {"freeze": ["generator"]}):
        with pytest.raises(BadInput, match="generator"):
            train(tmp_path, tiny_recipe([stage]))
    with pytest.raises(BadInput, match="both"):
        train(tmp_path, tiny_recipe([{"train": ["model"], "freeze": ["model"]}]))


def test_loss_terms_that_the_task_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lcofl"):
        train(tmp_path, tiny_recipe([{"losses": [{"term": "lcofl"}]}]))


def test_a_watch_sees_the_whole_stage(tmp_path: Path) -> None:
    calls: list[str] = []

    class Spy(Watch):
        def __getattribute__(self, name: str) -> object:
            calls.append(name)
            return super().__getattribute__(name)

    train(tmp_path, watch=Spy())
    assert [name for name in calls if name != "ticked"] == ["started", "epoch_ended", "epoch_ended", "ended"]


def test_young_averages_are_not_shared_between_stages() -> None:
    parts = task_of(tiny_recipe()).build()
    assert Ema(parts, 0.9).parts is not parts


def test_a_guard_that_stops_ships_no_epoch_beyond_it_unless_it_is_a_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([(0.5, 0.4), (0.4, 0.1), (0.5, 0.4), (0.3, 0.4)])

    def measured(*_: Any) -> dict[str, float]:
        cer, exact_match = next(figures)
        return {"loss": 1.0, "cer": cer, "exact_match": exact_match, "length_accuracy": 0.0}

    monkeypatch.setattr(Recognition, "metrics", measured)
    floor = train(
        tmp_path / "floor", tiny_recipe([{"epochs": 3, "select": "cer", "guards": [{"metric": "exact_match", "min": 0.2}]}])
    )
    assert (floor.epoch, floor.stopped) == (1, "guard: exact_match 0.1 is below 0.2")  # the better CER was bought too dearly
    goal = train(tmp_path / "goal", tiny_recipe([{"epochs": 3, "select": "cer", "guards": [{"metric": "cer", "min": 0.35}]}]))
    assert (goal.epoch, goal.stopped) == (2, "guard: cer 0.3 is below 0.35")
