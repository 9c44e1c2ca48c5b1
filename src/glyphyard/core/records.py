"""The small typed records that each step leaves beside its output: what went in, what came out, with which versions."""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json, write_json

R = TypeVar("R", bound="Record")


class Record:
    """A dataclass that is written as JSON and read back strictly: a missing or unknown key is a `BadInput`."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    def write(self, path: Path) -> None:
        """Write the record to `path`, atomically."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls: type[R], path: Path) -> R:
        """Read a record back from `path`."""
        return cls.from_json(read_json(path), str(path))

    @classmethod
    def from_json(cls: type[R], value: Any, where: str) -> R:
        """Build a record from JSON values; `where` names their origin in errors."""
        return _revive(cls, value, where)


def _revive(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else _revive(next(a for a in arguments if a is not type(None)), value, where)
    if origin is dict:
        _expect(isinstance(value, dict), where, "an object", value)
        return {key: _revive(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin in (list, tuple):
        _expect(isinstance(value, list), where, "a list", value)
        return origin(_revive(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _revive_dataclass(kind, value, where)
    if kind in _SCALARS:
        _expect(type(value) in _SCALARS[kind], where, kind.__name__, value)
    return value


# JSON writes 1.0 as 1 in other languages; a bool is never a number, although Python's is.
_SCALARS: dict[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (float, int), bool: (bool,)}


def _expect(holds: bool, where: str, expected: str, value: Any) -> None:
    if not holds:
        raise BadInput(where, f"expected {expected}, found {str(value)[:60]!r} ({type(value).__name__})")


def _revive_dataclass(kind: Any, value: Any, where: str) -> Any:
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    required = {n for n, f in known.items() if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING}
    _expect(isinstance(value, dict), where, f"the keys of {kind.__name__}", value)
    if unknown := sorted(set(value) - set(known)):
        raise BadInput(where, f"expected keys among {sorted(known)}, found {unknown}", "mend a typo, or the versions differ")
    if missing := sorted(required - set(value)):
        raise BadInput(where, f"{', '.join(missing)} is missing", "add it, or the versions differ")
    return kind(**{key: _revive(hints[key], item, f"{where}.{key}") for key, item in value.items()})


@dataclass(frozen=True)
class Shard(Record):
    """One Parquet file of a prepared split, relative to the manifest's folder."""

    path: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class SplitRecord(Record):
    """One side of the split; `content_sha256` covers every (image bytes, low side, text) in it, in order of their ids."""

    rows: int
    groups: int
    content_sha256: str
    shards: list[Shard]


@dataclass(frozen=True)
class DatasetManifest(Record):
    """What `prepare` made: audited, split by group, resized once. Read it from `<dataset folder>/manifest.json`.

    `low_pixels`: the pixel contract of the low-resolution side (column `lr_pixels`), where the rows have one.
    `classes`: what a box or an outline can be, by number.
    """

    fingerprint: str
    alphabet: str
    fold: dict[str, str]
    pixels: dict[str, Any]
    sources: list[str]
    splits: dict[str, SplitRecord]
    bad_rows: int
    versions: dict[str, str] = field(default_factory=dict)
    low_pixels: dict[str, Any] | None = None
    classes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class CheckpointRecord(Record):
    """What one stage left: its best weights, where they came from and how good they were on validation."""

    stage: str
    path: str
    sha256: str
    parent: str | None
    recipe_fingerprint: str
    dataset_fingerprint: str
    epoch: int  # from 1; 0 where none was better than what the stage started from
    metrics: dict[str, float | None]
    seconds: float
    stopped: str = "finished"

    @property
    def chosen(self) -> str:
        """Which epoch's weights these are, in words."""
        return f"best epoch {self.epoch}" if self.epoch else "no epoch better than its start"


@dataclass(frozen=True)
class BundleRecord(Record):
    """What `export` made: the folder's files by hash and how closely the ONNX follows torch."""

    path: str
    files: dict[str, str]
    checkpoint_sha256: str
    opset: int
    max_abs_difference: float
    strings_compared: int
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure(Record):
    """A figure with its interval and the count it stands on; `low`/`high` are None where no interval is defined.

    `effective`: how many independent samples the interval is worth, where samples of one group resemble each other.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int
    effective: float | None = None


@dataclass(frozen=True)
class Scorecard(Record):
    """How a bundle reads a held-out set, measured through the code that the device runs.

    `figures` holds cer, exact_match, length_accuracy (all after the suite's text policy) and their `raw_…` twins
    without equivalences; `slices` maps "column=value" to figures of that slice; `confusion` rows are
    [true character, read character, count] with "" for a gap. `held_out` is the hash of what was read (images and
    texts, in any order), `equivalences` and `case` the text policy, `alphabet` the reader's ("" where nobody said it).
    """

    suite: str
    dataset_fingerprint: str
    split: str
    split_sha256: str
    bundle_sha256: str
    samples: int
    groups: int
    confidence: float
    figures: dict[str, Figure]
    slices: dict[str, dict[str, Figure]]
    confusion: list[list[Any]]
    calibration: list[dict[str, float]]
    reject_curve: list[dict[str, float]]
    speed: dict[str, float]
    versions: dict[str, str] = field(default_factory=dict)
    held_out: str = ""
    alphabet: str = ""
    equivalences: list[str] = field(default_factory=list)
    case: str = "keep"


@dataclass(frozen=True)
class Finding(Record):
    """One threshold against one figure: the outcome is PASS, FAIL or INSUFFICIENT_DATA, in words a person can use.

    `kind`: "bound" of the suite, "floor" of a slice, or "regression" against a baseline, whose value is a difference.
    """

    rule: str
    outcome: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float
    count: int
    message: str
    kind: str = "bound"


@dataclass(frozen=True)
class Verdict(Record):
    """What the gate says: PASS only if every finding passes; FAIL wins over INSUFFICIENT_DATA."""

    outcome: str
    suite: str
    findings: list[Finding]
    message: str
    scorecard_sha256: str
    baseline: str | None = None


@dataclass(frozen=True)
class Release(Record):
    """A registered model version, or the reason why there is none (`version` is None)."""

    model_name: str
    version: str | None
    alias: str | None
    tracking_uri: str
    run_id: str | None
    message: str
