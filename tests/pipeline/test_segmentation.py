"""Outlined characters end to end on the tiny recipe: run, plan, audit, predict, judge again; a killed run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outlining import write_plates

from glyphyard.core.files import read_json
from glyphyard.core.records import Scorecard, Verdict

ROOT = Path(__file__).parents[2]
TINY = ROOT / "recipes" / "tiny" / "character_maskrcnn.yaml"
HERE = ["--set", "runtime.launcher=in_process", "--set", "register.enabled=false"]
READS = ["--set", "model.classes=alphabet"]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "glyphyard.cli.main", *map(str, arguments)]


def glyphyard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe with a class a character, killed once on the way; its gate has too few plates to tell."""
    store = tmp_path_factory.mktemp("store")
    started = subprocess.Popen(command("run", TINY, *HERE, *READS, "--store", store), cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not list(store.glob("tiny_*/stages/0-main/last.pt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    (run,) = store.glob("tiny_*")
    done = glyphyard("run", "--resume", run.name, "--store", store, "--json")
    assert done.returncode == 3, done.stderr
    assert "resuming" in done.stderr
    assert "starts from random weights" in (run / "stages" / "0-main" / "said.txt").read_text()
    return run


@pytest.mark.slow
def test_a_run_leaves_a_bundle_a_scorecard_and_drawn_plates(finished: Path) -> None:
    assert read_json(finished / "bundle" / "bundle.json")["task"] == "segmentation"
    card = Scorecard.read(finished / "scorecard.json")
    assert {"map50", "map", "mask_map50", "mask_map", "precision", "recall", "f1", "exact_match", "cer"} <= set(card.figures)
    assert card.figures["map50"].count == card.figures["cer"].count  # all characters, of boxes and of texts
    assert Verdict.read(finished / "verdict.json").outcome == "INSUFFICIENT_DATA"
    epochs = [json.loads(line) for line in (finished / "stages" / "0-main" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in epochs] == [1, 2]
    assert {"train_mask", "train_objectness", "mask_map50", "val_loss"} <= set(epochs[0])
    page = (finished / "report.html").read_text()
    assert "Characters found on plates" in page
    assert page.count('alt="outlines of ') == page.count('alt="found on ') >= 10


@pytest.mark.slow
def test_it_is_planned_audited_judged_again_and_asked_for_texts(finished: Path, tmp_path: Path) -> None:
    store = finished.parent
    planned = glyphyard("plan", TINY, *HERE, *READS, "--store", store, "--json")
    plan = json.loads(planned.stdout)["plan"]
    assert plan["dataset_prepared"].endswith(read_json(finished / "dataset.json")["folder"].rpartition("/")[2])
    card = Scorecard.read(finished / "scorecard.json")
    assert plan["rows"]["test"] == card.samples
    assert glyphyard("audit", TINY, "--store", store).returncode == 0
    again = glyphyard("evaluate", finished / "bundle", "--store", store, "--out", tmp_path / "again", "--json")
    assert again.returncode == 3, again.stderr
    assert json.loads(again.stdout)["scorecard"]["figures"]["mask_map"]["value"] == card.figures["mask_map"].value
    write_plates(tmp_path / "plates", 3)
    read = glyphyard("predict", finished / "bundle", tmp_path / "plates" / "images", "--json")
    assert read.returncode == 0, read.stderr
    assert len(read.stdout.splitlines()) == 3


@pytest.mark.slow
def test_bad_polygons_stop_a_run_before_it_trains(tmp_path: Path) -> None:
    write_plates(tmp_path / "plates", 4)
    path = tmp_path / "plates" / "annotations" / "p02.csv"
    path.write_text(path.read_text().replace('"[', '"[x', 1))
    source = f"dataset.sources=[{{name: plates, kind: polygon_csv, folder: {tmp_path / 'plates'}}}]"
    done = glyphyard("run", TINY, *HERE, "--set", source, "--store", tmp_path / "store")
    assert done.returncode == 2
    assert "p02.csv:2" in done.stderr
    assert "malformed_polygon" in done.stderr
    assert "Traceback" not in done.stderr
