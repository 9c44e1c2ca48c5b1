"""What a run folder holds, as far as it holds it: every missing or broken piece becomes a note, none an error."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import CheckpointRecord, DatasetManifest, Record, Release, Scorecard, Verdict

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class StageFiles:
    """One stage: its name, an epoch's metrics a line, and what it left (None while it trains)."""

    name: str
    epochs: list[dict[str, Any]]
    checkpoint: CheckpointRecord | None


@dataclass
class RunFiles:
    """A run folder, read leniently; `notes` say what is not there."""

    folder: Path
    recipe: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    stages: list[StageFiles] = field(default_factory=list)
    dataset: Path | None = None
    manifest: DatasetManifest | None = None
    bundle: dict[str, Any] | None = None
    scorecard: Scorecard | None = None
    verdict: Verdict | None = None
    release: Release | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> RunFiles:
        """Read everything that is there; a folder without recipe.json is no run (`BadInput`)."""
        folder = Path(folder).absolute()
        if not (folder / "recipe.json").is_file():
            raise BadInput(str(folder), "expected the folder of a run, found no recipe.json in it")
        run = cls(folder)
        run.recipe = run._mapping(folder / "recipe.json", "recipe")
        run.environment = run._mapping(folder / "environment.json", "environment")
        run._find_dataset()
        run.steps = [s for p in sorted((folder / "steps").glob("*.json"), key=lambda p: p.stat().st_mtime) if (s := _step(p))]
        run.stages = [run._stage(p) for p in sorted((folder / "stages").glob("*"), key=_stage_order) if p.is_dir()]
        if not run.stages:
            run.notes.append("training: no stage has been started")
        run.bundle = run._mapping(folder / "bundle" / "bundle.json", "export") or None
        run.scorecard = run._record(Scorecard, folder / "scorecard.json", "evaluation")
        run.verdict = run._record(Verdict, folder / "verdict.json", "gate")
        if (folder / "release.json").is_file():  # the report may be written before the registration
            run.release = run._record(Release, folder / "release.json", "registration")
        return run

    def _find_dataset(self) -> None:
        record = self._mapping(self.folder / "dataset.json", "prepared dataset")
        if record.get("folder"):
            self.dataset = (self.folder / str(record["folder"])).resolve()
            self.manifest = self._record(DatasetManifest, self.dataset / "manifest.json", "dataset manifest")
        places = [self.folder / "audit.json", *([self.dataset / "audit.json"] if self.dataset else [])]
        self.audit = self._mapping(next((p for p in places if p.is_file()), places[-1]), "data audit")

    def _stage(self, folder: Path) -> StageFiles:
        name = folder.name.partition("-")[2] or folder.name
        path = folder / "checkpoint.json"
        checkpoint = self._record(CheckpointRecord, path, f"stage {name}") if path.is_file() else None
        if checkpoint is None and not path.is_file():
            self.notes.append(f"stage {name}: not finished")
        return StageFiles(name, _lines(folder / "metrics.jsonl"), checkpoint)

    def _record(self, kind: type[R], path: Path, what: str) -> R | None:
        try:
            return kind.read(path)
        except BadInput as error:
            self.notes.append(f"{what}: {error.problem if path.is_file() else 'not there yet'}")
        except (TypeError, AttributeError, KeyError, IndexError):  # JSON of another shape
            self.notes.append(f"{what}: {path.name} is of another version")
        return None

    def _mapping(self, path: Path, what: str) -> dict[str, Any]:
        try:
            value = read_json(path)
        except BadInput as error:
            self.notes.append(f"{what}: {error.problem if path.is_file() else 'not there yet'}")
            return {}
        return value if isinstance(value, dict) else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(text)
        except ValueError:
            continue  # the last line of a killed run may be half a line
        if isinstance(value, dict):
            found.append(value)
    return found


def _step(path: Path) -> dict[str, Any] | None:
    try:
        value = read_json(path)
    except BadInput:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("seconds"), (int, float)) else None


def _stage_order(folder: Path) -> tuple[int, str]:
    number = folder.name.partition("-")[0]
    return (int(number) if number.isdigit() else 1 << 30, folder.name)
