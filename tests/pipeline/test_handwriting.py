"""The handwriting reader from recipe to predictions, on made-up words: 64×256 pixels, start modes, beam search, files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from glyphyard.core.files import read_json
from glyphyard.data.synth_words import render_words
from glyphyard.training.checkpoint import load_state

ROOT = Path(__file__).parents[2]
TINY = ROOT / "recipes" / "tiny" / "handwriting_crnn.yaml"
HERE = ["--set", "runtime.launcher=in_process", "--set", "register.enabled=false"]


def glyphyard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "glyphyard.cli.main", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe; its gate has too few names to tell."""
    done = glyphyard("run", TINY, *HERE, "--store", tmp_path_factory.mktemp("store"), "--json")
    assert done.returncode == 3, done.stderr
    return Path(json.loads(done.stdout)["run"])


@pytest.mark.slow
def test_a_run_reads_64_by_256_and_ships_an_ngram(finished: Path) -> None:
    bundle = read_json(finished / "bundle" / "bundle.json")
    assert bundle["input"]["shape"] == [None, 1, 64, 256]
    assert {"model.onnx", "golden.npz", "ngram.json"} <= set(bundle["files"])
    assert bundle["beam"]["width"] > 1
    assert "ß" in bundle["alphabet"]
    assert (finished / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_a_folder_is_read_to_both_files(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    for i in range(5):
        cv2.imwrite(str(tmp_path / "crops" / f"{i}.png"), render_words(9, i).image_bgr)
    (tmp_path / "crops" / "broken.png").write_bytes(b"no image")
    done = glyphyard("predict", finished / "bundle", tmp_path / "crops", "--decode", "beam", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    table = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open(encoding="utf-8")))
    assert [bool(row["error"]) for row in table] == [False] * 5 + [True]
    assert all(0 <= float(row["confidence"]) <= 1 for row in table[:5])
    assert len((tmp_path / "out" / "predictions.txt").read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.slow
def test_the_gain_of_beam_search_is_measured_on_the_same_rows(finished: Path, tmp_path: Path) -> None:
    done = glyphyard(
        "evaluate",
        finished / "bundle",
        "--recipe",
        TINY,
        "--store",
        finished.parent,
        "--decode",
        "beam",
        "--out",
        tmp_path,
        "--json",
    )
    assert done.returncode == 3, done.stderr
    searched, greedy = json.loads(done.stdout)["scorecard"], read_json(finished / "scorecard.json")
    assert searched["samples"] == greedy["samples"]
    assert searched["held_out"] == greedy["held_out"]
    assert searched["figures"]["cer"]["value"] != greedy["figures"]["cer"]["value"]


@pytest.mark.slow
def test_training_goes_on_in_a_run_of_its_own_when_it_is_asked_for(finished: Path) -> None:
    done = glyphyard(
        "run", TINY, *HERE, "--start", "resume", "--from", finished.name, "--set", "stages.0.epochs=3", "--until", "train-main",
        "--store", finished.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = sorted(finished.parent.glob("tiny_handwriting_crnn-*"), key=lambda folder: folder.stat().st_ctime)
    assert len(runs) == 2
    first, second = (load_state(run / "stages" / "0-main" / "last.pt")["position"] for run in (finished, runs[-1]))
    assert (first["epoch"], second["epoch"]) == (2, 3)
