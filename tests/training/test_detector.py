"""ultralytics' loop inside ours: cut off and gone on to the bit, started from what may be trusted, stopped when asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from dark_pages import dark_recipe, random_places, write_pages
from learnable import Stop, StopAfter, same_weights

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.records import CheckpointRecord
from glyphyard.data.prepare_pages import prepare_pages
from glyphyard.recipe.recipe import Recipe
from glyphyard.training.checkpoint import load_state
from glyphyard.training.detector import train_detector
from glyphyard.training.job import StageJob
from glyphyard.training.ranks import SingleRank
from glyphyard.training.watch import Watch

pytestmark = pytest.mark.slow  # ultralytics alone takes seconds to import


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sides = {"train": random_places(11, 1), "val": random_places(5, 2), "test": random_places(4, 3)}
    return write_pages(tmp_path_factory.mktemp("pages") / "dark", sides)


@pytest.fixture(scope="module")
def dataset(pages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_pages(dark_recipe(pages).dataset, Capacity(300), tmp_path_factory.mktemp("store"), in_process=True)


def train(
    recipe: Recipe, dataset: Path, folder: Path, watch: Watch | None = None, parent: Path | None = None
) -> CheckpointRecord:
    torch.set_num_threads(1)
    return train_detector(StageJob(recipe, 0, dataset, folder, parent), SingleRank(), watch)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(pages: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stage that was trained without a break."""
    folder = tmp_path_factory.mktemp("whole")
    train(dark_recipe(pages), dataset, folder)
    return folder


def test_a_stage_leaves_figures_and_weights_without_code(whole: Path) -> None:
    assert [row["epoch"] for row in rows(whole)] == [1, 2, 3]
    assert {"train_loss", "train_box", "train_cls", "train_dfl", "val_loss", "map50", "map", "precision", "recall", "lr"} <= set(
        rows(whole)[-1]
    )
    state = load_state(whole / "best.pt")  # weights_only: no pickled module would pass
    assert state["parts"].keys() == state["ema"].keys()
    assert (whole / "tb").is_dir()
    assert "random weights" in (whole / "said.txt").read_text()
    assert sorted(p.name for p in whole.rglob("*.pt")) == ["best.pt", "last.pt"]


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_a_stage_that_was_cut_off_goes_on_to_the_same_weights(
    pages: Path, dataset: Path, tmp_path: Path, whole: Path, mosaic: float
) -> None:
    recipe = dark_recipe(pages, model={"imgsz": 64, "mosaic": mosaic, "close_mosaic_epochs": 1})
    if mosaic:
        whole = tmp_path / "whole"
        train(recipe, dataset, whole)
    with pytest.raises(Stop):
        train(recipe, dataset, tmp_path / "cut", StopAfter(2))
    assert load_state(tmp_path / "cut" / "last.pt")["position"]["epoch"] == 1
    record = train(recipe, dataset, tmp_path / "cut")
    ours, theirs = load_state(tmp_path / "cut" / "last.pt"), load_state(whole / "last.pt")
    assert same_weights(ours["parts"], theirs["parts"])
    assert same_weights(ours["ema"], theirs["ema"])
    assert [row["val_loss"] for row in rows(tmp_path / "cut")] == [row["val_loss"] for row in rows(whole)]
    assert record.stopped == "finished"


def test_a_finished_stage_is_not_trained_again(pages: Path, dataset: Path, whole: Path) -> None:
    before = (whole / "last.pt").stat().st_mtime_ns
    record = train(dark_recipe(pages), dataset, whole)
    assert record.epoch == load_state(whole / "best.pt")["position"]["standing"]["best_epoch"]
    assert (whole / "last.pt").stat().st_mtime_ns == before


def test_another_recipe_does_not_go_on_here(pages: Path, dataset: Path, whole: Path) -> None:
    with pytest.raises(BadInput, match="belongs to another run"):
        train(dark_recipe(pages, {"lr": 1e-4}), dataset, whole)


def test_more_epochs_go_on_from_another_run(pages: Path, dataset: Path, whole: Path, tmp_path: Path) -> None:
    longer = dark_recipe(pages, {"epochs": 4, "start": "resume", "init": str(whole / "last.pt")})
    train(longer, dataset, tmp_path / "longer", parent=whole / "last.pt")
    assert [row["epoch"] for row in rows(tmp_path / "longer")] == [1, 2, 3, 4]


def test_the_state_of_another_optimiser_is_refused_and_every_epoch_kept(
    pages: Path, dataset: Path, whole: Path, tmp_path: Path
) -> None:
    changes = {"epochs": 4, "start": "resume", "init": str(whole / "last.pt"), "optimizer": {"name": "sgd"}}
    with pytest.raises(BadInput, match="another optimiser"):
        train(dark_recipe(pages, changes), dataset, tmp_path / "sgd", parent=whole / "last.pt")
    train(dark_recipe(pages, {"epochs": 1, "keep_epochs": True}), dataset, tmp_path / "kept")
    assert (tmp_path / "kept" / "epoch_001.pt").is_file()


def test_finetuning_starts_with_the_weights_of_another_run(pages: Path, dataset: Path, whole: Path, tmp_path: Path) -> None:
    tuned = dark_recipe(
        pages, {"epochs": 1, "lr": 1e-9, "start": "finetune", "init": str(whole / "best.pt"), "optimizer": {"weight_decay": 0}}
    )
    train(tuned, dataset, tmp_path / "tuned", parent=whole / "best.pt")
    ours, theirs = load_state(tmp_path / "tuned" / "last.pt")["parts"], load_state(whole / "best.pt")["ema"]
    name = "model.model.0.conv.weight"
    assert torch.allclose(ours[name], theirs[name], atol=1e-6)


def test_patience_ends_a_stage(pages: Path, dataset: Path, tmp_path: Path) -> None:
    # At this rate nothing changes, so nothing improves by as much as is asked.
    impatient = {"epochs": 9, "lr": 1e-9, "early_stop": {"patience_epochs": 1, "min_delta": 100.0}}
    record = train(dark_recipe(pages, impatient), dataset, tmp_path)
    assert record.stopped.startswith("early stop")
    assert len(rows(tmp_path)) == 2


def test_a_rate_that_breaks_the_loss_is_said(pages: Path, dataset: Path, tmp_path: Path) -> None:
    wild = {
        "lr": 10.0,
        "optimizer": {"name": "sgd"},
        "clip_norm": 0,
        "schedule": {"name": "constant", "warmup": 0.0},
        "epochs": 20,
    }
    with pytest.raises(StepFailed, match="NaN or infinite"):
        train(dark_recipe(pages, wild), dataset, tmp_path)


def test_weighted_epochs_draw_by_source(pages: Path, dataset: Path, tmp_path: Path) -> None:
    sampling = {"mode": "weighted", "weights": {"real": 1.0}, "samples_per_epoch": 6}
    train(dark_recipe(pages, {"epochs": 1, "sampling": sampling}), dataset, tmp_path)
    assert rows(tmp_path)[0]["step"] == 2  # six of eleven pages, in batches of four


class Evil:
    """What a hostile checkpoint may hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("evil-was-run"),))


@pytest.mark.parametrize("content", ["evil", "junk", "empty"])
def test_released_weights_that_are_none_are_refused(
    pages: Path, dataset: Path, tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "yolov8n.pt"
    if content == "evil":
        torch.save({"model": Evil()}, path)
    else:
        path.write_bytes(b"junk" * 100 if content == "junk" else b"")
    recipe = dark_recipe(pages, model={"imgsz": 64, "pretrained": str(path)})
    with pytest.raises(BadInput, match=r"yolov8n\.pt"):
        train(recipe, dataset, tmp_path / "stage")
    assert not (tmp_path / "evil-was-run").exists()


def test_ultralytics_own_checkpoint_is_taken_by_its_allow_list(pages: Path, dataset: Path, tmp_path: Path) -> None:
    from glyphyard.nn.yolo import build_yolo

    network = build_yolo(dark_recipe(pages).model, ["a", "b", "c"])  # type: ignore[arg-type]
    path = tmp_path / "yolov8n.pt"
    torch.save({"model": network, "ema": None, "train_args": {}}, path)
    recipe = dark_recipe(
        pages, {"epochs": 1, "lr": 1e-9, "optimizer": {"weight_decay": 0}}, model={"imgsz": 64, "pretrained": str(path)}
    )
    train(recipe, dataset, tmp_path / "stage")
    name = "model.model.0.conv.weight"
    ours = load_state(tmp_path / "stage" / "last.pt")["parts"][name]
    assert torch.allclose(ours, network.state_dict()[name.removeprefix("model.")], atol=1e-6)
    assert "% of the weights taken from yolov8n.pt" in (tmp_path / "stage" / "said.txt").read_text()


def test_weights_of_another_size_are_refused(pages: Path, dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "yolov8n.pt"
    torch.save({"model.0.conv.weight": torch.zeros(3)}, path)
    with pytest.raises(BadInput, match="0% of this network"):
        train(dark_recipe(pages, model={"imgsz": 64, "pretrained": str(path)}), dataset, tmp_path / "stage")


def test_weights_that_are_not_there_are_said(pages: Path, dataset: Path, tmp_path: Path) -> None:
    recipe = dark_recipe(pages, {"epochs": 1}, model={"imgsz": 64, "pretrained": "/nowhere/yolov8n.pt"})
    train(recipe, dataset, tmp_path)
    assert "/nowhere/yolov8n.pt is not there" in (tmp_path / "said.txt").read_text()


def test_nothing_is_written_beside_the_prepared_pages(dataset: Path, whole: Path) -> None:
    assert not list(dataset.rglob("*.cache"))
    assert not list(dataset.rglob("*.npy"))
