"""What is printed while a stage trains: each epoch once, and those of a stage that begins anew as well."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from glyphyard.pipeline import live


def epochs(folder: Path, *losses: float) -> None:
    lines = [{"epoch": i, "train_loss": loss, "crops_per_s": 10.0} for i, loss in enumerate(losses, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("begins", ["anew", "where it stopped"])
def test_a_resumed_stage_prints_what_is_new_and_nothing_of_its_past(
    tmp_path: Path, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    stage = tmp_path / "2-lcofl"
    stage.mkdir()
    epochs(stage, 9.0, 8.0)
    printed = io.StringIO()
    with live.followed(stage, Console(file=printed, width=200)):
        time.sleep(0.05)
        if begins == "anew":
            (stage / "metrics.jsonl").write_text("")
            epochs(stage, 7.0)
            time.sleep(0.05)
            epochs(stage, 7.0, 6.0)
        else:
            epochs(stage, 9.0, 8.0, 7.0)
            time.sleep(0.05)
            epochs(stage, 9.0, 8.0, 7.0, 6.0)
    lines = [line.split(" · ")[0] for line in printed.getvalue().splitlines()]
    first = 1 if begins == "anew" else 3
    assert lines == [f"  2-lcofl epoch {first}: loss 7.0000", f"  2-lcofl epoch {first + 1}: loss 6.0000"]


def test_an_epoch_that_a_guard_took_back_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    stage, printed = tmp_path / "2-lcofl", io.StringIO()
    stage.mkdir()
    with live.followed(stage, Console(file=printed, width=200)):
        time.sleep(0.05)
        row = {"epoch": 3, "train_loss": 1.0, "val_loss": 1.0, "psnr": 4.9, "went_back": "to epoch 2: psnr 4.9 is below 12.5"}
        (stage / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    assert printed.getvalue().rstrip().endswith("went back to epoch 2: psnr 4.9 is below 12.5")
