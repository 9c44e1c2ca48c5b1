"""Engines that this device has built, kept by what they depend on; and the one way to open whatever reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput, GlyphyardError, StepFailed
from glyphyard.core.files import fingerprint, make_folder, sha256_bytes
from glyphyard.core.records import Record
from glyphyard.core.targets import target_named
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.device import Device, check_device, this_device
from glyphyard.edge.manifest import MODEL
from glyphyard.edge.native import NativeSession
from glyphyard.edge.plan import BuildPlan, plan_for
from glyphyard.edge.session import CPU, OnnxSession, Session, onnxruntime

ENGINE, RECORD = "engine.plan", "engine.json"
RECORD_VERSION = 1
BUILD = "glyphyard engine build BUNDLE --target TARGET"
TENSORRT = "TensorrtExecutionProvider"
KEPT = 8  # folders of engines that ONNX Runtime has built; nobody else takes them away


@dataclass(frozen=True)
class Judged:
    """What a gate says of an engine: outcome PASS, FAIL or INSUFFICIENT_DATA, the suite's name, and the figures it looked at."""

    outcome: str
    suite: str
    figures: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineRecord(Record):
    """One built engine: what it is of, where, with what, how faithfully it reads and how fast.

    `replay` has batches, strings and the largest difference; `speed` one row a batch size (batch, p50_ms, p95_ms, p99_ms,
    crops_per_s), copies to and from the device included.
    """

    schema_version: int
    key: str
    target: str
    engine_sha256: str
    engine_bytes: int
    onnx_sha256: str
    bundle_sha256: str
    tensorrt: str
    gpu: str
    precision: str
    batch: list[int]
    dla: int | None
    builder: str
    build_s: float
    replay: dict[str, Any]
    speed: list[dict[str, float]]
    verdict: str | None = None
    suite: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)


class Unready(StepFailed):
    """This device cannot run an engine, or not yet, for a reason that no model is to blame for."""


def native_device(target: str) -> Device:
    """Return this device if it can both build and read with a target's engines; `Unready` where it cannot."""
    try:
        device = this_device()
        check_device(device, target_named(target))
    except GlyphyardError as error:
        raise Unready(error.where, error.problem, error.remedy) from error
    if device.trtexec:
        problem = "can build engines (trtexec) but not read with them (no tensorrt in its Python)"
        remedy = 'leave trial.engine out; with trial.providers ["TensorrtExecutionProvider"] ONNX Runtime reads on TensorRT'
        raise Unready("this device", problem, remedy)
    return device


def default_cache() -> Path:
    """Return where engines are kept unless somebody says otherwise."""
    named = os.environ.get("GLYPHYARD_ENGINES")
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(named) if named else Path(base) / "glyphyard" / "engines"


def engine_key(bundle: Bundle, plan: BuildPlan, device: Device) -> str:
    """Identify an engine by everything that its bytes depend on."""
    parts = [bundle.manifest.files[plan.onnx], device.tensorrt, device.gpu, device.sm, device.builder]
    return fingerprint([*parts, plan.precision, plan.batch, plan.workspace_mb, plan.dla, plan.keep_fp32])


def cached_engine(folder: Path) -> tuple[EngineRecord, bytes] | None:
    """Return a kept engine with its record, or None where there is none that is whole."""
    try:
        record = EngineRecord.read(folder / RECORD)
        engine = (folder / ENGINE).read_bytes()
    except (BadInput, OSError):
        return None
    whole = record.schema_version == RECORD_VERSION and sha256_bytes(engine) == record.engine_sha256
    return (record, engine) if whole and record.key == folder.name else None


def open_engine(
    bundle: Bundle | Path | str,
    target: str | None = None,
    providers: Sequence[str] | None = None,
    *,
    cache_dir: Path | None = None,
    threads: int = 1,
    precision: str | None = None,
) -> Session:
    """Open what reads a bundle's crops here: ONNX Runtime, or with `target` the engine that was built for this device.

    `providers`: ONNX Runtime's, the first has to work (the CPU when None); TensorRT's and CUDA's are set up by the target's
    plan where the bundle has one. With `target` and no `providers` it is the native TensorRT engine from `cache_dir`
    ($GLYPHYARD_ENGINES or ~/.cache/glyphyard/engines when None); none there is a `BadInput` that says how to build one.
    `precision`: another one than the plan's.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    if target is None:
        return OnnxSession.of(opened, providers or CPU, threads)
    plan, cache = plan_for(opened, target, precision), cache_dir or default_cache()
    if providers:
        return OnnxSession.of(opened, providers, threads, provider_options(opened, plan, providers, cache))
    device = this_device()
    check_device(device, target_named(target))
    folder = cache / engine_key(opened, plan, device)
    found = cached_engine(folder)
    if found is None:
        raise BadInput(str(folder), f"no engine of this bundle for {target} on {device.gpu}", f"build it: {BUILD}")
    session = NativeSession(found[1], str(folder / ENGINE))
    session.check(opened)
    return session


def provider_precision(plan: BuildPlan) -> str:
    """Return what ONNX Runtime's TensorRT provider computes in: it gets model.onnx and a flag, never an INT8 graph."""
    return "fp32" if plan.precision == "fp32" else "fp16"


def provider_options(bundle: Bundle, plan: BuildPlan, providers: Sequence[str], cache: Path) -> list[dict[str, Any]]:
    """Return ONNX Runtime's options for each provider: TensorRT's are the plan's, the others have none.

    Its engines lie in a folder of their own for each model: the name that ONNX Runtime gives them knows the graph but not the
    weights (microsoft/onnxruntime#6455), so in a common one a new version would run with the old one's.
    """
    if TENSORRT not in providers:
        return [{} for _ in providers]
    common = make_folder(cache / "onnxruntime")
    low, best, high = ("x".join(map(str, shape)) for shape in plan.shapes())
    tensorrt_options = {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(_own_folder(common, _provider_key(bundle, plan))),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(common),  # kernels' timings, which are nobody's own
        "trt_fp16_enable": provider_precision(plan) == "fp16",
        "trt_max_workspace_size": plan.workspace_mb << 20,
        "trt_profile_min_shapes": f"{plan.input}:{low}",
        "trt_profile_opt_shapes": f"{plan.input}:{best}",
        "trt_profile_max_shapes": f"{plan.input}:{high}",
    }
    return [tensorrt_options if name == TENSORRT else {} for name in providers]


def _provider_key(bundle: Bundle, plan: BuildPlan) -> str:
    try:
        device = this_device()
        known = [device.tensorrt, device.gpu, device.sm]
    except GlyphyardError:  # ONNX Runtime may bring the libraries alone, which do not say their version to Python
        known = []
    parts = [bundle.manifest.files[MODEL], onnxruntime().__version__, known]
    return fingerprint([*parts, provider_precision(plan), plan.batch, plan.workspace_mb])


def _own_folder(common: Path, key: str) -> Path:
    """Make or find a model's folder in `common`, and let those go that were opened longest ago."""
    folder = make_folder(common / key)
    os.utime(folder)
    with suppress(OSError):  # another process may be tidying, too
        others = [p for p in common.iterdir() if p.is_dir() and p != folder]
        for old in sorted(others, key=lambda p: p.stat().st_mtime_ns, reverse=True)[KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)
    return folder
