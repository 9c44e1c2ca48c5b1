"""The door that a device has: build and verify without any other package, and the script that proves a real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from plans import add_plan

from glyphyard.edge.__main__ import main

Device = Callable[..., None]
ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "fakes"


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glyphyard.edge.replay.RUNS", 5)


def test_build_prints_where_the_engine_is(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Device, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_tensorrt()
    options = ["build", str(soft_bundle), "--target", "orin_nx_jp62", "--cache", str(tmp_path / "cache")]
    assert main(options) == 0
    assert (Path(capsys.readouterr().out.strip()) / "engine.plan").is_file()
    assert main([*options, "--json", "--precision", "fp32"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "fp32"


def test_what_fails_is_one_line_and_a_status(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tensorrt(machine="x86_64")
    options = ["build", str(soft_bundle), "--target", "orin_nx_jp62", "--cache", str(tmp_path / "cache")]
    assert main(options) == 2
    assert capsys.readouterr().err.count("\n") == 1
    fake_tensorrt()
    monkeypatch.setenv("FAKE_TENSORRT_WRONG_BATCH", "2")
    assert main(options) == 4
    assert "batch 2" in capsys.readouterr().err.splitlines()[-1]


def test_verify_puts_all_readers_side_by_side(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Device, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tensorrt()
    options = ["verify", str(soft_bundle), "--target", "orin_nx_jp62", "--cache", str(tmp_path / "cache")]
    assert main([*options, "--json"]) == 0
    rows = [row for row in json.loads(capsys.readouterr().out) if row["needed"]]
    assert [(row["reader"], row["precision"]) for row in rows] == [
        ("ONNX Runtime CPU", "fp32"),
        ("TensorRT 10.3.0", "fp16"),
        ("TensorRT 10.3.0", "fp32"),
    ]
    assert all(row["golden"] == "holds" and row["speed"] for row in rows)
    assert main(options) == 0
    assert sum("holds" in line for line in capsys.readouterr().out.splitlines()) == 3
    monkeypatch.setenv("FAKE_TENSORRT_WRONG_BATCH", "3")
    assert main([*options, "--json"]) == 4
    assert sum("batch 3" in row["golden"] for row in json.loads(capsys.readouterr().out)) == 2


@pytest.mark.parametrize("python", [True, False], ids=["python", "trtexec"])
def test_the_script_proves_a_device(soft_bundle: Path, tmp_path: Path, python: bool) -> None:
    trtexec = tmp_path / "trtexec"
    trtexec.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKES / "trtexec.py"}" "$@"\n')
    trtexec.chmod(0o755)
    bundle = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    target = "orin_nx_jp62" if python else "x86_trt11"
    environment = os.environ | {"PYTHON": sys.executable, "GLYPHYARD_TRTEXEC": str(trtexec)}
    add_plan(bundle, target, precision="fp32", batch=(1, 2, 2))
    if python:
        environment |= {"PYTHONPATH": str(FAKES), "FAKE_TENSORRT_MACHINE": "aarch64"}
    else:
        environment |= {"FAKE_TENSORRT_VERSION": "11.4.0"}
    done = subprocess.run(
        [ROOT / "tools" / "verify_on_jetson.sh", bundle, target, tmp_path / "cache"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("\n\n", 1)[1].splitlines()
    assert table[0].startswith("reader")
    assert all("holds" in line for line in table[1:] if not line.startswith(("ONNX Runtime CUDA", "ONNX Runtime TensorRT")))
    assert any(line.startswith("TensorRT") for line in table)


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run([ROOT / "tools" / "verify_on_jetson.sh"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "BUNDLE TARGET" in done.stderr
