"""What the steps of a run depend on: content, wherever it lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file, write_json
from glyphyard.core.records import CheckpointRecord
from glyphyard.pipeline.origin import check_parent
from glyphyard.pipeline.steps import steps_of, train_step
from glyphyard.recipe.load import load_recipe
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import SCHEMA
from glyphyard.training.job import StageJob

TINY = Path(__file__).parents[2] / "recipes" / "tiny" / "parseq.yaml"


def inputs_of(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    run: Any = SimpleNamespace(
        recipe=load_recipe(TINY, ["model.stem=patches", *overrides]),
        stage_dir=lambda i: tmp_path / f"{i}",
        manifest=SimpleNamespace(fingerprint="f"),
    )
    return train_step(run, 0).inputs()


def test_other_weights_to_start_from_are_another_training(tmp_path: Path) -> None:
    plain = inputs_of(tmp_path)
    for i, key in enumerate(("model.pretrained", "stages.0.init")):
        file = tmp_path / f"{i}.pt"
        file.write_bytes(b"some weights")
        first = inputs_of(tmp_path, f"{key}={file}")
        assert first != plain
        file.write_bytes(b"other weights")
        assert inputs_of(tmp_path, f"{key}={file}") != first
        file.write_bytes(b"some weights")
        moved = tmp_path / "elsewhere" / file.name
        moved.parent.mkdir(exist_ok=True)
        moved.write_bytes(file.read_bytes())
        assert inputs_of(tmp_path, f"{key}={moved}") == first


class TwoStages:
    """A run whose stages learn nothing: each writes down what it found in its folder."""

    def __init__(self, folder: Path) -> None:
        stages = "stages=[{name: main, epochs: 1}, {name: second, epochs: 1}]"
        self.recipe = load_recipe(TINY, ["model.stem=patches", stages])
        self.folder, self.dataset, self.manifest = folder, folder, SimpleNamespace(fingerprint="f")
        self.said: list[str] = []
        self.say = self.said.append

    def stage_dir(self, index: int) -> Path:
        return self.folder / "stages" / f"{index}-stage"

    def checkpoint(self, index: int) -> CheckpointRecord:
        return CheckpointRecord.read(self.stage_dir(index) / "checkpoint.json")

    def launch(self, job: StageJob) -> CheckpointRecord:
        goes_on = (job.stage_dir / "last.pt").is_file()
        for name in ("last.pt", "best.pt"):
            (job.stage_dir / name).write_bytes(b"learnt")
        self.said.append(f"{job.stage.name} {'goes on' if goes_on else 'begins'}")
        return CheckpointRecord(job.stage.name, str(job.best), sha256_file(job.best), None, "r", "f", 1, {}, 1.0)

    def leave(self, weights: bytes) -> None:
        """Leave a first stage with these weights."""
        self.stage_dir(0).mkdir(parents=True, exist_ok=True)
        best = self.stage_dir(0) / "best.pt"
        best.write_bytes(weights)
        CheckpointRecord("main", str(best), sha256_file(best), None, "r", "f", 1, {}, 1.0).write(
            best.with_name("checkpoint.json")
        )


def test_a_stage_whose_parent_has_changed_begins_anew_and_the_old_one_is_kept_aside(tmp_path: Path) -> None:
    run: Any = TwoStages(tmp_path)
    run.leave(b"first")
    for _ in range(2):
        train_step(run, 1).work()
    run.leave(b"other")
    train_step(run, 1).work()
    assert [line for line in run.said if line.startswith("second")] == ["second begins", "second goes on", "second begins"]
    assert any("has changed" in line for line in run.said)
    assert (tmp_path / "stale" / "1-stage" / "last.pt").is_file()
    assert not list((tmp_path / "stages").glob("*stale*"))


def test_a_parent_that_is_not_there_or_was_cut_off_is_told_before_anything_is_done(tmp_path: Path) -> None:
    run: Any = TwoStages(tmp_path)
    with pytest.raises(BadInput, match=r"\[GY064\] it starts from stage main, and there is no .*stages.second.init="):
        steps_of(run, "train-second", "second")
    run.leave(b"first")
    check_parent(run, 1)
    (run.stage_dir(0) / "checkpoint.json").unlink()
    with pytest.raises(BadInput, match=r"\[GY064\] it starts from stage main, and that stage was cut off"):
        steps_of(run, "train-second", "second")


def test_a_file_that_is_no_checkpoint_is_told_before_anything_is_done(tmp_path: Path) -> None:
    run: Any = TwoStages(tmp_path)
    elsewhere = tmp_path / "elsewhere.pt"
    run.recipe = run.recipe.model_copy(
        update={"stages": (run.recipe.stages[0], run.recipe.stages[1].model_copy(update={"init": str(elsewhere)}))}
    )
    with pytest.raises(BadInput, match="GY064"):
        steps_of(run)
    elsewhere.write_bytes(b"half a file")
    with pytest.raises(BadInput, match=str(elsewhere)):
        steps_of(run)
    steps_of(run, "train-main")  # the stage that starts from it is not asked for
    torch.save({"schema": SCHEMA, "ema": None, "parts": {"detector.weight": torch.zeros(1)}}, elsewhere)
    with pytest.raises(BadInput, match=r"expected weights of \['model'\], found \['detector'\]"):
        steps_of(run)
    network = task_of(run.recipe).build().state_dict()
    torch.save({"schema": SCHEMA, "ema": None, "parts": network | {"model.head.weight": torch.zeros(2, 2)}}, elsewhere)
    with pytest.raises(BadInput, match="do not fit part `model`"):
        steps_of(run)
    torch.save({"schema": SCHEMA, "ema": None, "parts": network}, elsewhere)
    steps_of(run)


def test_released_weights_that_cannot_be_had_are_told_before_anything_is_done(tmp_path: Path) -> None:
    run: Any = TwoStages(tmp_path)
    own = tmp_path / "best.pt"
    torch.save({"schema": SCHEMA, "ema": None, "parts": {"model.weight": torch.zeros(1)}}, own)
    for pretrained, told in ((str(own), "a checkpoint of Glyphyard's own"), (str(tmp_path), "no such file")):
        model = run.recipe.model.model_copy(update={"pretrained": pretrained})
        run.recipe = run.recipe.model_copy(update={"model": model})
        with pytest.raises(BadInput, match=told):
            steps_of(run)
        steps_of(run, "prepare")
    run.stage_dir(0).mkdir(parents=True)
    (run.stage_dir(0) / "last.pt").write_bytes(b"")  # the stage has begun: it has them
    steps_of(run)
    write_json(run.stage_dir(0) / "began_from.json", {"parent": "", "pretrained model": "of another file"})
    with pytest.raises(BadInput, match="no such file"):  # it would begin anew
        steps_of(run)
    assert (run.stage_dir(0) / "last.pt").is_file()


@pytest.mark.parametrize("until", ["export", "report"])
def test_a_step_that_needs_a_stage_which_is_not_trained_is_refused(tmp_path: Path, until: str) -> None:
    run: Any = TwoStages(tmp_path)
    with pytest.raises(BadInput, match=f"--until {until}: needs stage second, which --stage main does not train"):
        steps_of(run, until, "main")
    steps_of(run, "train-main", "main")
    run.leave(b"first")
    steps_of(run, until, "second")
    run.stage_dir(1).mkdir()
    (run.stage_dir(1) / "checkpoint.json").write_text("{}")  # trained before
    steps_of(run, until, "main")
