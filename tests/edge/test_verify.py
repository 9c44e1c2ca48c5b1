"""The door that a device has: build and verify without any other package, and the script that proves a real one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plans import add_plan

from glyphyard.edge import verify as verify_module
from glyphyard.edge.__main__ import main
from glyphyard.edge.session import OnnxSession
from glyphyard.edge.verify import Row

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


def test_onnxruntime_is_judged_by_the_precision_that_it_runs_in(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tensorrt()
    bundle = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    add_plan(bundle, "orin_nx_jp62", precision="int8", batch=(1, 2, 3))
    apart = [0.0]

    class Off(OnnxSession):
        """What answers in the provider's place: the right strings, with numbers that are off by so much."""

        def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
            found = super().run(batch_NCHW)
            found[..., 0] -= apart[0]
            return found

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["TensorrtExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(verify_module, "open_engine", lambda opened, *rest, **more: Off.of(opened))

    def row() -> Row:
        rows = verify_module.verify(bundle, "orin_nx_jp62", tmp_path / "cache", lambda line: None)
        return next(row for row in rows if row.reader == "ONNX Runtime TensorRT")

    monkeypatch.setattr(verify_module, "_with_engine", lambda *rest: Row("engine", "fp32", "holds"))
    assert (row().precision, row().golden) == ("fp16", "holds")
    apart[0] = 0.3
    assert "differs by" in row().golden, "an INT8 engine's tolerance was allowed"


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
