"""trtexec, NVIDIA's own tool: builds an engine from a plan, runs it, times it. For devices without TensorRT's Python API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.targets import TensorRt
from glyphyard.edge.plan import BuildPlan

ON_A_JETSON = Path("/usr/src/tensorrt/bin/trtexec")
BUILD_TIMEOUT_S, RUN_TIMEOUT_S = 3600, 300
BANNER = re.compile(r"\[TensorRT v(\d+)\]")


def find_trtexec() -> Path | None:
    """Return where trtexec is: $GLYPHYARD_TRTEXEC, the PATH, or where JetPack puts it."""
    named = os.environ.get("GLYPHYARD_TRTEXEC")
    found = named or shutil.which("trtexec") or (str(ON_A_JETSON) if ON_A_JETSON.is_file() else None)
    return Path(found) if found else None


def trtexec_version(trtexec: Path) -> str:
    """Return TensorRT's version as trtexec says it: "10.3.0"."""
    banner = BANNER.search(_run([str(trtexec), "--help"], RUN_TIMEOUT_S))
    if banner is None:
        raise BadInput(str(trtexec), "does not say which TensorRT it is of", "set GLYPHYARD_TRTEXEC to NVIDIA's trtexec")
    digits = int(banner[1])
    # 8502 is 8.5.2; from 10 on, 100300 is 10.3.0.
    parts = (
        (digits // 1000, digits // 100 % 10, digits % 100)
        if digits < 10000
        else (digits // 10000, digits // 100 % 100, digits % 100)
    )
    return ".".join(map(str, parts))


def build_command(plan: BuildPlan, rules: TensorRt, onnx: Path, engine: Path, timing_cache: Path) -> list[str]:
    """Return the options of trtexec that build a plan's engine."""
    shapes = [
        f"--{kind}Shapes={plan.input}:{_by(shape)}" for kind, shape in zip(("min", "opt", "max"), plan.shapes(), strict=True)
    ]
    options = [f"--onnx={onnx}", f"--saveEngine={engine}", *shapes, f"--memPoolSize=workspace:{plan.workspace_mb}"]
    options += [f"--timingCacheFile={timing_cache}", f"--{rules.build_only}", *_precision_options(plan, rules)]
    if plan.dla is not None:
        options += [f"--useDLACore={plan.dla}", "--allowGPUFallback"]
    return options


def _precision_options(plan: BuildPlan, rules: TensorRt) -> list[str]:
    if plan.precision == "fp32":
        return ["--noTF32"]
    if rules.precision_by == "graph":
        return []
    kept = ",".join(f"{name}:fp32" for name in plan.keep_fp32)
    constraints = ["--precisionConstraints=obey", f"--layerPrecisions={kept}"] if kept else []
    return ["--fp16", *(["--int8"] if plan.precision == "int8" else []), *constraints]


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def build_with_trtexec(trtexec: Path, onnx: bytes, plan: BuildPlan, rules: TensorRt, timing_cache: bytes) -> tuple[bytes, bytes]:
    """Return the engine and the grown timing cache; see `native_build.build_with_python`."""
    with tempfile.TemporaryDirectory(prefix="glyphyard-engine-") as name:
        folder = Path(name)
        model, engine, cache = folder / "model.onnx", folder / "engine.plan", folder / "timing.cache"
        model.write_bytes(onnx)
        if timing_cache:
            cache.write_bytes(timing_cache)
        _run([str(trtexec), *build_command(plan, rules, model, engine, cache)], BUILD_TIMEOUT_S)
        if not engine.is_file() or not engine.stat().st_size:
            raise StepFailed(f"engine for {plan.target}", "trtexec passed but wrote no engine", "look at the disk's free space")
        return engine.read_bytes(), cache.read_bytes() if cache.is_file() else timing_cache


class TrtexecSession:
    """An engine run by trtexec, one process a batch: slow, but it proves an engine where Python cannot load one."""

    def __init__(self, trtexec: Path, engine: Path, plan: BuildPlan, version: str) -> None:
        self._trtexec, self._engine, self._plan = trtexec, engine, plan
        self.providers, self.max_batch = [f"trtexec {version}"], plan.batch[2]

    def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
        """Return the log-probabilities (time, batch, classes) of a batch within the profile."""
        with tempfile.TemporaryDirectory(prefix="glyphyard-engine-") as name:
            crops, answer = Path(name) / "crops.bin", Path(name) / "output.json"
            crops.write_bytes(np.ascontiguousarray(batch_NCHW, dtype=np.float32).tobytes())
            options = [f"--loadInputs={self._plan.input}:{crops}", f"--exportOutput={answer}", "--iterations=1", "--warmUp=0"]
            self._trtexec_with(batch_NCHW.shape, [*options, "--duration=0"])
            return _read_output(answer, self._plan.output)

    def times_ms(self, size: int, duration_s: int = 2) -> np.ndarray:
        """Return the latency of each of trtexec's own timed runs at one batch size, copies included."""
        with tempfile.TemporaryDirectory(prefix="glyphyard-engine-") as name:
            times = Path(name) / "times.json"
            self._trtexec_with((size, *self._plan.shape), [f"--exportTimes={times}", "--warmUp=200", f"--duration={duration_s}"])
            return np.array([row["latencyMs"] for row in _json(times)])

    def _trtexec_with(self, shape: Sequence[int], options: Sequence[str]) -> None:
        shapes = f"--shapes={self._plan.input}:{_by(shape)}"
        _run([str(self._trtexec), f"--loadEngine={self._engine}", shapes, *options], RUN_TIMEOUT_S)


def _read_output(path: Path, output: str) -> np.ndarray:
    for tensor in _json(path):
        if tensor["name"] == output:
            shape = [int(d) for d in tensor["dimensions"].split("x")]
            return np.array(tensor["values"], dtype=np.float32).reshape(shape)
    raise StepFailed("trtexec", f"gave no output {output!r}", "build the engine again")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StepFailed("trtexec", f"wrote no JSON that can be read ({error})", "look at its own output") from error


def _run(command: list[str], timeout_s: int) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise BadInput(
            command[0], f"cannot be started ({error.strerror})", "set GLYPHYARD_TRTEXEC to NVIDIA's trtexec"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise StepFailed("trtexec", f"was not done after {timeout_s} s", "close what else uses the device") from error
    if done.returncode:
        lines = (done.stdout + "\n" + done.stderr).splitlines()
        said = [re.sub(r"^\[[\d/:-]+\] ?", "", line).strip() for line in lines if "[E]" in line or "rror" in line]
        raise StepFailed(
            "trtexec", f"failed with status {done.returncode} ({'; '.join(said[-3:])[:400] or 'it does not say why'})", ""
        )
    return done.stdout + done.stderr
