"""The five stages of progressive super-resolution, end to end, on the tiny recipe."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glyphyard.core.files import read_json
from glyphyard.core.records import Scorecard, Verdict
from glyphyard.registry.content import RunContent

ROOT = Path(__file__).parents[2]
TINY = ROOT / "recipes" / "tiny" / "lpsr_progressive.yaml"
HERE = ["--set", "runtime.launcher=in_process", "--set", "register.enabled=false"]
STAGES = ("pretrain", "warmup", "lcofl", "finetune", "hard_mining")
SEED_NAMES = {
    "stage0_pretrain/train_loss",
    "stage0_pretrain/val_char_acc",
    "stage1_warmup/train_l1",
    "stage1_warmup/val_psnr",
    "stage2_lcofl/train_lcofl",
    "stage2_lcofl/train_lcofl_classification",
    "stage2_lcofl/train_lcofl_layout",
    "stage2_lcofl/train_lcofl_ssim",
    "stage2_lcofl/val_word_acc",
    "stage3_finetune/train_loss",
    "stage3_finetune/val_word_acc",
    "stage4_hard_mining/train_loss",
    "stage4_hard_mining/hard_mining_stats",
}


def glyphyard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glyphyard.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    done = glyphyard("run", TINY, *HERE, "--store", store, "--json")
    assert done.returncode == 3, done.stderr  # 32 crops are too few to tell
    return Path(json.loads(done.stdout)["run"])


@pytest.mark.slow
def test_five_stages_leave_a_bundle_a_scorecard_and_a_report(finished: Path) -> None:
    assert {p.stem for p in (finished / "steps").glob("*.json")} >= {f"train-{name}" for name in STAGES}
    assert {"generator.onnx", "recogniser/model.onnx"} <= set(read_json(finished / "bundle" / "bundle.json")["files"])
    card = Scorecard.read(finished / "scorecard.json")
    assert {"word_acc", "bicubic_word_acc", "hr_word_acc", "psnr", "word_acc_gain", "export_word_acc_cost"} <= set(card.figures)
    assert Verdict.read(finished / "verdict.json").outcome == "INSUFFICIENT_DATA"
    page = (finished / "report.html").read_text()
    assert "Small crops made large" in page
    assert page.count('alt="super-resolution of ') >= 20


@pytest.mark.slow
def test_the_seeds_names_stand_in_tensorboard_and_in_mlflow(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown: set[str] = set()
    for folder in (finished / "stages").glob("*/tb"):
        events = EventAccumulator(str(folder))
        events.Reload()
        shown |= set(events.Tags()["scalars"])
    assert shown >= SEED_NAMES
    assert {point.name for point in RunContent.read(finished).points()} >= SEED_NAMES


@pytest.mark.slow
def test_nothing_is_done_twice_and_a_bundle_reads(finished: Path, tmp_path: Path) -> None:
    done = glyphyard("run", "--resume", finished, "--json")
    assert done.stderr.count("unchanged, skipped") == 11, done.stderr
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "crop.png"), np.zeros((16, 48, 3), np.uint8))
    read = glyphyard("predict", finished / "bundle", tmp_path / "crop.png", "--json")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["error"] == ""


@pytest.mark.slow
def test_one_stage_alone_goes_from_its_parents_checkpoint(finished: Path, tmp_path: Path) -> None:
    store = finished.parent
    refused = glyphyard("run", TINY, *HERE, "--store", store, "--stage", "lcofl")
    assert refused.returncode == 2
    assert "[GY064]" in refused.stderr
    assert "stage warmup" in refused.stderr
    assert "Traceback" not in refused.stderr
    parent = finished / "stages" / "1-warmup" / "best.pt"
    done = glyphyard("run", TINY, *HERE, "--store", store, "--stage", "lcofl", "--set", f"stages.lcofl.init={parent}")
    assert done.returncode == 0, done.stderr
    assert "stage lcofl finished" in done.stdout
    folder = Path(done.stdout.partition("run: ")[2].splitlines()[0])
    (folder / "steps" / "train-lcofl.json").unlink()  # as a kill leaves it
    resumed = glyphyard("run", "--resume", folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "stage lcofl finished" in resumed.stdout
    assert [stage.name for stage in (folder / "stages").iterdir()] == ["2-lcofl"]


@pytest.mark.slow
def test_real_low_resolution_crops_are_judged_by_their_texts(finished: Path, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (tmp_path / "images").mkdir()
    rng, lines = np.random.default_rng(0), []
    for i in range(6):
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), rng.integers(0, 256, (20 + i, 70, 3), np.uint8))
        lines.append(f"images/{i}.png\tAB{i // 2}\n")  # two crops of each plate
    (tmp_path / "labels.txt").write_text("".join(lines))
    bundle = shutil.copytree(finished / "bundle", tmp_path / "bundle")  # beside a run its recipe would say what is held out
    out = tmp_path / "out"
    command = ("evaluate", bundle, "--suite", "lpsr_br_plates", "--labels", tmp_path / "labels.txt", "--out", out)
    done = glyphyard(*command, "--store", tmp_path / "store")
    assert done.returncode == 3, done.stderr
    card = Scorecard.read(out / "scorecard.json")
    assert card.samples == 6
    assert card.figures["voted_word_acc"].count == 3
    assert "hr_word_acc" not in card.figures
    assert {"as_is_word_acc", "as_is_char_acc", "as_is_voted_word_acc"} <= set(card.figures)
    assert "psnr" not in card.figures
    refused = glyphyard(*command[:-1], tmp_path / "psnr", "--store", tmp_path / "store", "--suite", "lpsr_us_plates")
    assert refused.returncode == 2  # a likeness that nobody can measure
    assert "psnr" in refused.stderr
    assert "Traceback" not in refused.stderr
