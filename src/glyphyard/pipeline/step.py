"""A step is data: what it needs, what it makes; finished and unchanged it is skipped, changed it is done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import fingerprint, sha256_file
from glyphyard.core.records import Record


@dataclass(frozen=True)
class StepRecord(Record):
    """What a finished step leaves in steps/<name>.json."""

    name: str
    inputs: str
    outputs: dict[str, str]
    seconds: float
    summary: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One arrow of the pipeline. `inputs` is any JSON value that decides the output; `outputs` are files of the run."""

    name: str
    inputs: Callable[[], Any]
    outputs: Callable[[], list[Path]]
    work: Callable[[], str]  # does it and says in one line what came out


def perform(step: Step, run: Path, say: Callable[[str], None]) -> StepRecord:
    """Do a step, or skip it when its record, its inputs and its outputs still agree."""
    path = run / "steps" / f"{step.name}.json"
    wanted = fingerprint(step.inputs())
    if done := _still_good(path, wanted, run):
        say(f"{step.name}: unchanged, skipped ({done.summary})")
        return done
    path.unlink(missing_ok=True)  # from here on the old output is stale
    started = time.monotonic()
    summary = step.work()
    outputs = {str(p.relative_to(run)): sha256_file(p) for p in step.outputs()}
    record = StepRecord(step.name, wanted, outputs, round(time.monotonic() - started, 3), summary)
    record.write(path)
    return record


def _still_good(path: Path, wanted: str, run: Path) -> StepRecord | None:
    try:
        record = StepRecord.read(path)
    except BadInput:
        return None
    if record.inputs != wanted:
        return None
    same = all((run / name).is_file() and sha256_file(run / name) == digest for name, digest in record.outputs.items())
    return record if same else None
