from __future__ import annotations

import json
from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.training.watch import FolderWatch, Tick, scalars

ROW = {
    "stage": "main",
    "epoch": 1,
    "step": 5,
    "train_loss": 1.0,
    "val_loss": None,
    "cer": 0.5,
    "lr": 0.1,
    "crops_per_s": 9.0,
    "seconds": 2.0,
}


def test_scalars_carry_the_stage_and_the_split() -> None:
    assert scalars(ROW) == {
        "main/train_loss": 1.0,
        "main/val_cer": 0.5,
        "main/lr": 0.1,
        "main/crops_per_s": 9.0,
        "main/seconds": 2.0,
    }


def test_each_epoch_is_a_line_and_a_resumed_one_is_not_there_twice(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    watch.started(1)
    for epoch in (1, 2):
        watch.epoch_ended(ROW | {"epoch": epoch})
    with watch.metrics.open("a") as file:
        file.write('{"epoch": 3, "ste')  # killed while writing
    again = FolderWatch(tmp_path)
    again.started(2)
    for epoch in (2, 3):
        again.epoch_ended(ROW | {"epoch": epoch})
    assert [json.loads(line)["epoch"] for line in watch.metrics.read_text().splitlines()] == [1, 2, 3]
    assert list((tmp_path / "tb").iterdir())


def test_progress_is_written_when_a_phase_begins_but_not_for_each_tick(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    for step in range(50):
        watch.ticked(Tick("train", "main", 1, 2, step, 50))
    assert json.loads(watch.progress.read_text())["step"] == 0
    watch.ticked(Tick("validate", "main", 1, 2, 50, 50))
    assert json.loads(watch.progress.read_text())["phase"] == "validate"
    assert [p.name for p in tmp_path.iterdir()] == ["progress.json"]


def test_a_disk_that_refuses_is_told_by_name(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    watch.metrics = Path("/dev/full")
    with pytest.raises(BadInput, match=r"/dev/full.*No space left"):
        watch.epoch_ended(ROW)
