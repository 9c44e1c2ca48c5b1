"""A detector from recipe to report on the tiny recipe, killed on the way; and pages read with it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from handmade import write_bundle

from glyphyard.core.files import read_json
from glyphyard.core.records import Scorecard, Verdict
from glyphyard.registry.content import RunContent

ROOT = Path(__file__).parents[2]
TINY = ROOT / "recipes" / "tiny" / "handwriting_yolo.yaml"
HERE = ["--set", "runtime.launcher=in_process", "--set", "register.enabled=false"]
COMMAND = [sys.executable, "-m", "glyphyard.cli.main"]
LONGEST_S = 200


def glyphyard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed with SIGKILL in its third epoch or later, and then gone on with."""
    store = tmp_path_factory.mktemp("store")
    process = subprocess.Popen([*COMMAND, "run", str(TINY), *HERE, "--store", str(store)], cwd=ROOT, stdout=subprocess.DEVNULL)
    started = time.monotonic()
    while not (lines := [len(p.read_text().splitlines()) for p in store.glob("tiny*/stages/*/metrics.jsonl")]) or lines[0] < 2:
        assert process.poll() is None
        assert time.monotonic() - started < LONGEST_S
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    run = next(store.glob("tiny*"))
    done = glyphyard("run", "--resume", run, "--json")
    assert done.returncode in (1, 3), done.stderr  # 15 pages are too few to pass
    assert json.loads(done.stdout)["run"] == str(run)
    return run


@pytest.mark.slow
def test_a_killed_run_is_finished_with_every_epoch_once(finished: Path) -> None:
    rows = [json.loads(line) for line in next(finished.glob("stages/*/metrics.jsonl")).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, read_json(finished / "recipe.json")["stages"][0]["epochs"] + 1))
    assert rows[-1]["map50"] > 0  # it learns something in these seconds


@pytest.mark.slow
def test_bundle_scorecard_and_report_are_there(finished: Path) -> None:
    bundle = read_json(finished / "bundle" / "bundle.json")
    assert (bundle["task"], bundle["classes"], bundle["pixels"]["kind"]) == ("detection", ["handwriting"], "letterbox")
    card = Scorecard.read(finished / "scorecard.json")
    assert {"map50", "map", "precision", "recall", "f1", "map50_small"} <= set(card.figures)
    assert Verdict.read(finished / "verdict.json").outcome in ("FAIL", "INSUFFICIENT_DATA")
    page = (finished / "report.html").read_text()
    assert "Regions found on pages" in page
    assert page.count('alt="regions on ') == 10
    assert {point.name for point in RunContent.read(finished).points()} >= {"main/val_map50", "main/val_map", "main/train_loss"}


@pytest.mark.slow
def test_nothing_is_done_twice(finished: Path) -> None:
    done = glyphyard("run", "--resume", finished)
    assert done.stdout.count("unchanged, skipped") == 7, done.stdout


@pytest.mark.slow
def test_the_bundle_is_measured_apart_from_its_run(finished: Path, tmp_path: Path) -> None:
    done = glyphyard("evaluate", finished / "bundle", "--store", finished.parent, "--out", tmp_path, "--json")
    assert done.returncode in (1, 3), done.stderr
    assert json.loads(done.stdout)["scorecard"]["figures"] == read_json(finished / "scorecard.json")["figures"]


@pytest.mark.slow
def test_pages_are_found_and_read(finished: Path, tmp_path: Path) -> None:
    dataset = (finished / read_json(finished / "dataset.json")["folder"]).resolve()
    pages = sorted((dataset / "images" / "test").glob("*.jpg"))[:2]
    reader = write_bundle(tmp_path / "striped")
    done = glyphyard("predict", *pages, "--detector", finished / "bundle", "--reader", reader, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "out" / "regions.json").read_text())) == 2
    assert len(list((tmp_path / "out").glob("*.regions.jpg"))) == 2
