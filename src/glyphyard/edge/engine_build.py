"""Bundle + target → an engine in this device's cache, or nothing: built, replayed, judged, timed, and only then kept."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import atomic_path, make_folder, sha256_bytes, write_json, writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.targets import Target, target_named
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.device import Device, check_device, this_device
from glyphyard.edge.engines import ENGINE, RECORD, RECORD_VERSION, EngineRecord, Judged, Unready, cached_engine, engine_key
from glyphyard.edge.native import NativeSession
from glyphyard.edge.native_build import build_with_python
from glyphyard.edge.plan import BuildPlan, plan_for
from glyphyard.edge.replay import replay, speed_row, time_session
from glyphyard.edge.session import Session
from glyphyard.edge.trtexec import TrtexecSession, build_with_trtexec

Judge = Callable[[Session], Judged]
PASS = "PASS"
PROCESSES = 3  # of trtexec for each batch size but the largest: each loads the engine anew


def build(
    bundle: Bundle | Path | str,
    target: str,
    cache_dir: Path,
    say: Callable[[str], None] = print,
    *,
    precision: str | None = None,
    judge: Judge | None = None,
    again: bool = False,
) -> EngineRecord:
    """Build this device's engine of a bundle, or find it in the cache; replay the golden vectors on it either way.

    `precision`: another one than the plan's. `judge` measures it on a held-out set; anything but PASS refuses the engine.
    An INT8 engine needs that PASS once: with neither `judge` nor a judged one in the cache it is `Unready`, and nothing is built.
    `again`: build even if there is one. A wrong bundle, target or device is a `BadInput`; an engine that cannot be built,
    reads otherwise than it should or does not pass is a `StepFailed`, and nothing of it stays in the cache but timings.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    known, plan, device = target_named(target), plan_for(opened, target, precision), this_device()
    if remark := check_device(device, known):
        say(f"engine: {remark}")
    folder = make_folder(Path(cache_dir)) / engine_key(opened, plan, device)
    with _alone(folder):
        found = None if again else cached_engine(folder)
        if plan.precision == "int8" and judge is None and (found is None or found[0].verdict != PASS):
            judging = f"glyphyard engine build {opened.folder} --target {target} --suite … --dataset … --cache {cache_dir}"
            problem = f"the INT8 engine of {opened.folder.name} has to pass a suite before it is used"
            raise Unready(f"engine for {target}", problem, f"judge it here, once: {judging}; or export with precision fp16")
        if found is not None:
            record = _prove_again(opened, plan, device, found, folder, judge)
            say(f"engine: {target} was built before ({record.key}), golden strings hold")
            if record != found[0]:
                record.write(folder / RECORD)
            return record
        say(f"engine: building {plan.precision} for {target} on {device.gpu}, TensorRT {device.tensorrt}, by {device.builder}")
        with writing(folder):
            return _build(opened, plan, known, device, folder, say, judge)


def _build(
    bundle: Bundle, plan: BuildPlan, target: Target, device: Device, folder: Path, say: Callable[[str], None], judge: Judge | None
) -> EngineRecord:
    started, timings = time.perf_counter(), folder.parent / f"timing-{device.tensorrt}-{_slug(device.gpu)}.cache"
    onnx, rules = bundle.read(plan.onnx), target.tensorrt
    known = timings.read_bytes() if timings.is_file() else b""
    if device.trtexec:
        engine, grown = build_with_trtexec(device.trtexec, onnx, plan, rules, known)
    else:
        engine, grown = build_with_python(onnx, plan, rules, known)
    build_s = round(time.perf_counter() - started, 2)
    with atomic_path(timings) as temporary:  # kept whatever becomes of the engine: the next build is quicker
        temporary.write_bytes(grown)
    say(f"engine: built in {build_s:.0f} s, {len(engine) / 2**20:.1f} MiB; replaying {len(plan.sizes)} batch sizes")
    record = EngineRecord(
        schema_version=RECORD_VERSION,
        key=folder.name,
        target=plan.target,
        engine_sha256=sha256_bytes(engine),
        engine_bytes=len(engine),
        onnx_sha256=bundle.manifest.files[plan.onnx],
        bundle_sha256=bundle.sha256,
        tensorrt=device.tensorrt,
        gpu=device.gpu,
        precision=plan.precision,
        batch=list(plan.batch),
        dla=plan.dla,
        builder=device.builder,
        build_s=build_s,
        replay={},
        speed=[],
    )
    with atomic_folder(folder) as temporary_folder:
        (temporary_folder / ENGINE).write_bytes(engine)
        record = _prove(bundle, plan, device, record, engine, temporary_folder, judge)
        write_json(temporary_folder / RECORD, record.to_json())
    return record


def _prove_again(
    bundle: Bundle, plan: BuildPlan, device: Device, found: tuple[EngineRecord, bytes], folder: Path, judge: Judge | None
) -> EngineRecord:
    try:
        return _prove(bundle, plan, device, *found, folder, judge)
    except StepFailed:
        shutil.rmtree(folder, ignore_errors=True)  # what failed once is not offered to anybody
        raise


def _prove(
    bundle: Bundle, plan: BuildPlan, device: Device, record: EngineRecord, engine: bytes, folder: Path, judge: Judge | None
) -> EngineRecord:
    """Replay, judge and time an engine that lies in `folder`; return the record with what was found."""
    session = _session(bundle, plan, device, engine, folder)
    try:
        most_runs = PROCESSES if isinstance(session, TrtexecSession) else None
        replayed = replay(session, bundle, plan.sizes, plan.tolerance, most_runs)
        record = replace(record, replay=asdict(replayed), bundle_sha256=bundle.sha256)
        if judge is not None:
            judged = judge(session)
            record = replace(record, verdict=judged.outcome, suite=judged.suite, figures=dict(judged.figures))
        if record.verdict not in (None, PASS):
            raise StepFailed(
                f"engine for {plan.target}", f"suite {record.suite}: {record.verdict}", "nothing was kept; use another precision"
            )
        return record if record.speed else replace(record, speed=_speed(session, plan))
    finally:
        if isinstance(session, NativeSession):
            session.close()


def _session(bundle: Bundle, plan: BuildPlan, device: Device, engine: bytes, folder: Path) -> NativeSession | TrtexecSession:
    if device.trtexec:
        return TrtexecSession(device.trtexec, folder / ENGINE, plan, device.tensorrt)
    try:
        session = NativeSession(engine, str(folder / ENGINE))
        session.check(bundle)
    except BadInput as error:  # here it was built; somebody who opens one that lies about gets the BadInput
        raise StepFailed(error.where, error.problem, error.remedy) from error
    return session


def _speed(session: NativeSession | TrtexecSession, plan: BuildPlan) -> list[dict[str, float]]:
    sizes = sorted(set(plan.batch))
    if isinstance(session, TrtexecSession):
        return [speed_row(size, session.times_ms(size)) for size in sizes]
    return time_session(session, plan.shape, sizes)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-") or "gpu"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time build one engine: the command line and the sync agent may both want it."""
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
