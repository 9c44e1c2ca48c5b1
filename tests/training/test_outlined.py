"""The one loop trains outlined plates: to the bit after a kill, from another run's weights, with every epoch kept."""

from __future__ import annotations

import pytest
import torch
from learnable import Stop, epochs_of, same_weights
from outlining import outlining_recipe, prepared, train
from two_outliners import WORLD, worker

from glyphyard.core.errors import BadInput
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import load_parts, load_state
from glyphyard.training.job import BEST


def test_a_run_that_is_cut_off_in_an_epoch_ends_as_one_that_is_not(tmp_path, monkeypatch):
    from glyphyard.training.learner import Learner

    recipe = outlining_recipe([{"epochs": 2, "ema_decay": 0.5}])
    train(tmp_path / "whole", recipe)
    step, taken = Learner.step, []

    def cut_off(*args):
        if len(taken) == 5:
            raise Stop
        taken.append(1)
        return step(*args)

    monkeypatch.setattr(Learner, "step", cut_off)
    with pytest.raises(Stop):
        train(tmp_path / "cut", recipe, checkpoint_every_s=0.0)
    monkeypatch.setattr(Learner, "step", step)
    position = load_state(tmp_path / "cut" / "stage" / "last.pt")["position"]
    assert (position["epoch"], position["step"] > 0) == (1, True)
    train(tmp_path / "cut", recipe)
    cut, whole = (load_state(tmp_path / name / "stage" / "last.pt") for name in ("cut", "whole"))
    for part in ("parts", "ema"):
        assert same_weights(cut[part], whole[part])
    timeless = [
        [{k: v for k, v in row.items() if k not in ("seconds", "crops_per_s")} for row in epochs_of(tmp_path / name)]
        for name in ("cut", "whole")
    ]
    assert timeless[0] == timeless[1]


def test_every_epoch_is_kept_where_it_is_asked_for(tmp_path):
    recipe = outlining_recipe([{"epochs": 2, "keep_epochs": True}])
    train(tmp_path, recipe)
    kept = sorted(p.name for p in (tmp_path / "stage").glob("epoch_*.pt"))
    assert kept == ["epoch_001.pt", "epoch_002.pt"]
    first, second, last = (load_state(tmp_path / "stage" / name) for name in (*kept, "last.pt"))
    assert first["position"]["epoch"] == 1
    assert same_weights(second["parts"], last["parts"])
    assert not same_weights(first["parts"], second["parts"])
    load_parts(tmp_path / "stage" / kept[0], task_of(recipe).build())  # what it keeps can be started from
    assert first["seed"] == 15107


def test_finetuning_starts_from_weights_with_a_fifth_of_the_rate(tmp_path):
    train(tmp_path / "first")
    best = tmp_path / "first" / "stage" / BEST
    fine = {"start": "finetune", "init": str(best), "finetune_lr": 0.2, "schedule": {"name": "constant", "warmup": 0.0}}
    train(tmp_path / "second", outlining_recipe([{**fine, "steps": 1, "lr": 1e-9}]), parent=best)
    (row,) = epochs_of(tmp_path / "second")
    assert abs(row["lr"] - 2e-10) < 1e-15
    came, now = load_state(best)["parts"], load_state(tmp_path / "second" / "stage" / "last.pt")["parts"]
    for name in came:
        torch.testing.assert_close(now[name], came[name], atol=1e-6, rtol=0)


def test_resuming_another_run_goes_on_counting(tmp_path):
    train(tmp_path / "first", outlining_recipe([{"epochs": 1}]))
    last = tmp_path / "first" / "stage" / "last.pt"
    train(tmp_path / "on", outlining_recipe([{"epochs": 2, "start": "resume", "init": str(last)}]), parent=last)
    assert [row["epoch"] for row in epochs_of(tmp_path / "on")] == [1, 2]


def test_classes_of_another_kind_cannot_be_started_from(tmp_path):
    train(tmp_path / "first")
    best = tmp_path / "first" / "stage" / BEST
    other = outlining_recipe([{"start": "finetune", "init": str(best)}], model={"classes": "alphabet"})
    with pytest.raises(BadInput, match="do not fit"):
        train(tmp_path / "second", other, parent=best)


@pytest.mark.slow
def test_two_workers_learn_the_same_even_where_one_sees_nothing(tmp_path):
    torch.multiprocessing.spawn(worker, args=(prepared(), tmp_path), nprocs=WORLD)
    assert (tmp_path / "best.pt").is_file()
