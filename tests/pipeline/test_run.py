"""The whole pipeline in one process on the tiny recipe: what it leaves, what it skips, and how it stops."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.files import read_json, sha256_file
from glyphyard.core.records import Scorecard, Verdict
from glyphyard.data.synth import render_plate

ROOT = Path(__file__).parents[2]
TINY = ROOT / "recipes" / "tiny" / "florida_crnn.yaml"
HERE = ["--set", "runtime.launcher=in_process", "--set", "register.enabled=false"]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "glyphyard.cli.main", *map(str, arguments)]


def glyphyard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT)


def one_clean_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the tiny recipe; its gate has too few crops to tell."""
    store = tmp_path_factory.mktemp("store")
    done = glyphyard("run", TINY, *HERE, "--store", store, "--json")
    assert done.returncode == 3, done.stderr
    run = Path(json.loads(done.stdout)["run"])
    assert run.parent == store
    assert json.loads(done.stdout) == {
        "run": str(run), "outcome": "INSUFFICIENT_DATA", "exit_code": 3, "report": str(run / "report.html")
    }  # fmt: skip
    return run


@pytest.mark.slow
def test_a_run_leaves_a_record_of_every_step(finished: Path) -> None:
    assert {p.stem for p in (finished / "steps").glob("*.json")} >= {
        "prepare",
        "train-main",
        "export",
        "evaluate",
        "gate",
        "report",
        "register",
    }
    card = Scorecard.read(finished / "scorecard.json")
    bundle = read_json(finished / "bundle" / "bundle.json")
    assert (
        card.samples
        == read_json(finished.parent / "datasets" / card.dataset_fingerprint / "manifest.json")["splits"]["test"]["rows"]
    )
    assert bundle["files"]["model.onnx"] == sha256_file(finished / "bundle" / "model.onnx")
    assert Verdict.read(finished / "verdict.json").outcome == "INSUFFICIENT_DATA"
    release = read_json(finished / "release.json")
    assert release["version"] is None
    assert release["message"] in (finished / "report.html").read_text()


@pytest.mark.slow
def test_resuming_a_finished_run_does_nothing_twice(finished: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"}
    done = glyphyard("run", "--resume", finished, "--json")
    assert done.returncode == 3
    assert done.stderr.count("unchanged, skipped") == 7
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p.name != ".lock"} == before


@pytest.mark.slow
def test_a_killed_training_goes_on_where_it_was(finished: Path) -> None:
    """In the store of the finished run, whose dataset it shares."""
    store, told = finished.parent, ["--set", "name=killed", "--set", "stages.0.epochs=5"]
    started = subprocess.Popen(command("run", TINY, *HERE, *told, "--store", store), cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(store.glob("killed*/stages/0-main/last.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    started.kill()
    assert started.wait() == -signal.SIGKILL
    (run,) = store.glob("killed*")
    epochs = run / "stages" / "0-main" / "metrics.jsonl"
    before = epochs.read_text().splitlines()[0]
    assert not (run / "steps" / "train-main.json").exists()
    done = glyphyard("run", "--resume", run, "--json")
    assert done.returncode == 3, done.stderr
    assert "resuming" in done.stderr
    assert "prepare: unchanged, skipped" in done.stderr
    after = epochs.read_text().splitlines()
    assert after[0] == before, "the first epoch was done again"
    assert [json.loads(line)["epoch"] for line in after] == [1, 2, 3, 4, 5]
    assert Verdict.read(run / "verdict.json").outcome == "INSUFFICIENT_DATA"


@pytest.mark.slow
def test_a_touched_output_is_never_served(finished: Path) -> None:
    report = finished / "report.html"
    report.write_text("something else")
    done = glyphyard("run", "--resume", finished)
    assert done.returncode == 3
    assert "something else" not in report.read_text()[:100]


@pytest.mark.slow
def test_a_bundle_reads_and_is_judged_by_other_verbs(finished: Path, tmp_path: Path) -> None:
    plates = glyphyard("synth", "plates", "--count", "5", "--out", tmp_path / "plates", "--workers", "1")
    assert plates.returncode == 0, plates.stderr
    (tmp_path / "plates" / "images" / "broken.png").write_bytes(b"no image")
    read = glyphyard("predict", finished / "bundle", tmp_path / "plates" / "images", "--json")
    assert read.returncode == 0, read.stderr
    rows = [json.loads(line) for line in read.stdout.splitlines()]
    assert len(rows) == 6
    assert [bool(row["error"]) for row in rows] == [False] * 5 + [True]
    judged = glyphyard(
        "evaluate", finished / "bundle", "--recipe", TINY, "--store", finished.parent, "--out", tmp_path / "out", "--json"
    )
    assert judged.returncode == 3, judged.stderr
    assert json.loads(judged.stdout)["scorecard"]["figures"] == read_json(finished / "scorecard.json")["figures"]


@pytest.mark.slow
def test_the_seed_snippet_reads_the_exported_model_as_written(finished: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    from glyphyard.core.ctc import greedy_decode
    from glyphyard.edge import Recognizer

    recognizer = Recognizer(finished / "bundle", portable=True)
    sess = ort.InferenceSession(str(finished / "bundle" / "model.onnx"), providers=["CPUExecutionProvider"])
    crop_bgr = render_plate(5, 0).image_bgr
    gray = cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2GRAY)
    img = cv2.resize(gray, (128, 32)).astype(np.float32) / 255.0
    img = img[np.newaxis, np.newaxis, ...]
    logits = sess.run(None, {"input": img})[0]
    assert greedy_decode(logits, recognizer.bundle.alphabet)[0] == recognizer.read(crop_bgr)


def test_a_read_only_place_for_runs_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = glyphyard("run", TINY, *HERE, "--store", tmp_path / "file" / "runs")
    assert done.returncode == 2
    assert "file" in one_clean_line(done)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["labels.txt", "no such file"]),
        (b"", ["labels.txt", "empty"]),
        (b"a.png ABC123\nb.png XYZ789\n", ["labels.txt:1", "tab"]),
        (b"a.png\tABC\xff\n", ["labels.txt:1", "UTF-8"]),
        ("a.png\tABCß12\n".encode(), ["labels.txt:1", "alphabet"]),
        (b"a.png\tABC123\n", ["labels.txt:1", "a.png"]),
    ],
    ids=["missing", "empty", "spaces", "not UTF-8", "stranger", "no image"],
)
def test_a_bad_label_file_stops_before_training(tmp_path: Path, content: bytes | None, words: list[str]) -> None:
    labels = tmp_path / "labels.txt"
    if content is not None:
        labels.write_bytes(content)
    if content and "alphabet" in words:
        cv2.imwrite(str(tmp_path / "a.png"), render_plate(5, 0).image_bgr)  # only the label is wrong
    done = glyphyard(
        "run", TINY, *HERE, "--labels", labels, "--set", "dataset.sources.synthetic.count=20", "--store", tmp_path / "store"
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert all(word in last for word in words), done.stderr
    assert not list((tmp_path / "store").glob("datasets/*")), "nothing half-written"
    assert not list((tmp_path / "store").glob("*/recipe.json")), "a refused run leaves no folder"


@pytest.mark.parametrize("verb", ["run", "audit"])
def test_an_empty_test_split_is_said_before_training(tmp_path: Path, verb: str) -> None:
    done = glyphyard(verb, TINY, *HERE, "--set", "dataset.sources.synthetic.count=2", "--store", tmp_path)
    assert done.returncode == 2
    assert "split" in one_clean_line(done)
    assert not list(tmp_path.glob("*/recipe.json"))
