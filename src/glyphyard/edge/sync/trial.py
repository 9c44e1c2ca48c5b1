"""What a new bundle has to show on this device before it may serve, in a process of its own: a crash there harms nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput, GlyphyardError, StepFailed
from glyphyard.core.pixels import read_image
from glyphyard.core.records import Record
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.catalogue import Reader, open_bundle, task_of
from glyphyard.edge.engines import Unready, native_device
from glyphyard.edge.manifest import TASK
from glyphyard.edge.session import NoRuntime
from glyphyard.edge.sync.config import QueueConfig, TrialConfig
from glyphyard.edge.sync.service import without_secrets

CHUNK = 32  # crops in memory at a time
UNREADY = 3  # the child's status where the device is at fault and no bundle
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True)
class TrialRequest(Record):
    """A bundle to try, beside the one that serves (None on a fresh device); `look`: only find its engine, build and read nothing."""

    bundle: str
    serving: str | None
    cache_dir: str
    config: TrialConfig
    queue: QueueConfig | None = None
    look: bool = False


@dataclass(frozen=True)
class TrialReport(Record):
    """What the trial saw: golden crops replayed, canary crops read and how many of them read otherwise than now."""

    golden: int
    runtime: list[str] = field(default_factory=list)
    engine: str | None = None
    canary: int = 0
    disagreements: int = 0

    def told(self, canary: str | None, compared: bool) -> str:
        """Return it in words; `canary`: the folder that was looked into, `compared`: a model served that crops were read with, too."""
        seen = f"{self.golden} golden crops read as they should on {self.runtime[0] if self.runtime else 'this device'}"
        if canary is None:
            return seen
        if not self.canary:
            return f"{seen}; no canary crop is in {canary}"
        differ = f"{self.disagreements} of {self.canary} canary crops differ"
        return f"{seen}, {differ if compared else f'{self.canary} canary crops read'}"


class Rejected(StepFailed):
    """The bundle was tried and did not hold."""


def try_bundle(request: TrialRequest) -> TrialReport:
    """Try a bundle in a child process; whatever becomes of that process, this one lives.

    Raises `Rejected`, or `Unready` where the device cannot run an engine, whatever the bundle.
    """
    command = [sys.executable, "-m", "glyphyard.edge.sync.trial"]
    asked = json.dumps(request.to_json())
    try:
        done = subprocess.run(
            command,
            input=asked,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=request.config.timeout_s,
            env=without_secrets(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Rejected("trial", f"not over after {request.config.timeout_s:g} s", "raise trial.timeout_s") from None
    if done.returncode < 0:
        raise Rejected("trial", f"its process died ({signal.Signals(-done.returncode).name})", "see the system's log")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = " ".join((done.stderr.strip().splitlines() or ["no reason given"])[-1].split())
        if done.returncode == UNREADY:
            raise Unready("trial", last)
        raise Rejected("trial", last[:400])
    try:
        return TrialReport.from_json(json.loads(lines[-1]), "trial")
    except (ValueError, BadInput) as error:
        raise Rejected("trial", f"its answer makes no sense ({error})") from error


def perform(request: TrialRequest) -> TrialReport:
    """Open, build or pick the engine, replay the golden crops, read the canary crops; the first that fails is raised."""
    if request.look:
        return TrialReport(0, engine=_engine_here(request))
    try:
        challenger, engine = _reader(Path(request.bundle), request)
    except NoRuntime as error:
        if request.serving:
            _reader(Path(request.serving), request)  # where the one in use opens, this device is not to blame
            raise BadInput(error.where, error.problem, error.remedy) from error
        raise
    golden = challenger.replay()
    champion = _reader(Path(request.serving), request)[0] if request.serving and request.config.canary else None
    count, differing = 0, 0
    paths = iter(recent_crops(request.config))
    while chunk := list(islice(paths, CHUNK)):
        crops = list(_readable(chunk))
        now = challenger.read_many([image for _, image in crops])
        before = champion.read_many([image for _, image in crops]) if champion else now
        count += len(crops)
        for (path, _), a, b in zip(crops, before, now, strict=True):
            differing += a.text != b.text
            _offer(path, a, b, request)
    if differing > request.config.max_disagreement * count:
        problem = f"reads {differing} of {count} recent crops otherwise than the model in use"
        raise BadInput("canary", problem, f"at most {request.config.max_disagreement:.0%} may; look at the queue")
    return TrialReport(golden, list(challenger.providers), engine, count, differing)


def recent_crops(config: TrialConfig) -> list[Path]:
    """Return the newest crops of the canary folder by their modification time, at most `canary_crops`."""
    if config.canary is None:
        return []
    found = []
    for entry in os.scandir(config.canary) if os.path.isdir(config.canary) else ():
        if entry.name.lower().endswith(IMAGES) and entry.is_file(follow_symlinks=False):
            found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path))
    return [Path(path) for _, path in sorted(found, reverse=True)[: config.canary_crops]]


def _reader(folder: Path, request: TrialRequest) -> tuple[Reader, str | None]:
    config = request.config
    if config.engine is None:
        return open_bundle(folder, providers=config.providers, replay_golden=False), None
    from glyphyard.edge.engine_build import build
    from glyphyard.edge.engines import open_engine
    from glyphyard.edge.recognizer import Recognizer

    bundle = _engine_bundle(folder)
    native_device(config.engine)  # before minutes go into an engine that nobody here can read with
    cache = Path(request.cache_dir)
    record = build(bundle, config.engine, cache, lambda line: print(line, file=sys.stderr))
    session = open_engine(bundle, config.engine, cache_dir=cache)
    return Recognizer(bundle, session=session, replay_golden=False), record.key


def _engine_bundle(folder: Path) -> Bundle:
    """Open a bundle that an engine reads; one of another task is whole, and the device's configuration does not fit it."""
    if (task := task_of(folder)) != TASK:
        problem = f"an engine reads no bundle of task {task}, ONNX Runtime does"
        raise Unready("trial.engine", problem, "leave it out; trial.providers says what ONNX Runtime runs on")
    return Bundle.open(folder)


def _engine_here(request: TrialRequest) -> str | None:
    """Return the key of the bundle's engine for this device as it is now, None where there is none that is whole."""
    from glyphyard.edge.device import this_device
    from glyphyard.edge.engines import cached_engine, engine_key
    from glyphyard.edge.plan import plan_for

    if request.config.engine is None:
        return None
    bundle = _engine_bundle(Path(request.bundle))
    key = engine_key(bundle, plan_for(bundle, request.config.engine), this_device())
    return key if cached_engine(Path(request.cache_dir) / key) else None


def _readable(paths: Iterable[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    """Yield what can be read: a crop that its camera is just writing, or has deleted, is no fault of the bundle."""
    for path in paths:
        try:
            yield path, read_image(path)
        except BadInput:
            continue


def _offer(path: Path, before: Reading, now: Reading, request: TrialRequest) -> None:
    if request.queue is None:
        return
    with suppress(OSError, GlyphyardError):  # the queue is for later; the trial is for now
        request.queue.open().offer(path.read_bytes(), before, now, request.queue.below)


def main() -> int:
    """Answer one request from standard input with one line of JSON; a refusal is one line on standard error, exit 2 or 3."""
    request = TrialRequest.from_json(json.load(sys.stdin), "request")
    out = os.dup(1)
    os.dup2(2, 1)  # libraries that print must not stand in the answer
    try:
        report = perform(request)
    except GlyphyardError as error:
        print(error, file=sys.stderr)
        return UNREADY if isinstance(error, Unready | NoRuntime) else 2
    with os.fdopen(out, "w", encoding="utf-8") as answer:
        answer.write(json.dumps(asdict(report)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
