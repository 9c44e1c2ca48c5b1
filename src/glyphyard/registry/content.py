"""What a run folder has to say to MLflow: parameters, metrics with their steps, tags and the bundle's identity."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import canonical_json, fingerprint, read_json, sha256_bytes, sha256_file
from glyphyard.core.naming import figure_name, stage_title
from glyphyard.core.records import Scorecard, Verdict
from glyphyard.core.redact import redact
from glyphyard.recipe.recipe import without_places

PARAM_LIMIT = 5900  # characters; MLflow refuses or cuts at 6000
TAG_LIMIT = 4900  # and tags at 5000


@dataclass(frozen=True)
class Point:
    """One metric of one epoch."""

    name: str
    value: float
    step: int


@dataclass(frozen=True)
class RunContent:
    """A run folder as MLflow sees it; everything is read from disk, so it can be pushed at any later time."""

    folder: Path
    recipe: dict[str, Any]
    verdict: Verdict | None
    scorecard: Scorecard | None
    bundle_sha256: str | None
    dataset_fingerprint: str | None

    @classmethod
    def read(cls, run_dir: Path, verdict: Verdict | None = None) -> RunContent:
        """Read what is there; only recipe.json must be."""
        run_dir = Path(run_dir).absolute()
        if not (run_dir / "recipe.json").is_file():
            raise BadInput(str(run_dir), "expected the folder of a run, found no recipe.json in it")
        scorecard = Scorecard.read(run_dir / "scorecard.json") if (run_dir / "scorecard.json").is_file() else None
        if verdict is None and (run_dir / "verdict.json").is_file():
            verdict = Verdict.read(run_dir / "verdict.json")
        return cls(
            run_dir,
            read_json(run_dir / "recipe.json"),
            verdict,
            scorecard,
            bundle_identity(run_dir / "bundle"),
            scorecard.dataset_fingerprint if scorecard else _dataset_of(run_dir),
        )

    @property
    def passed(self) -> bool:
        """True only for a PASS."""
        return self.verdict is not None and self.verdict.outcome == "PASS"

    def check_lineage(self) -> None:
        """Refuse a verdict over another scorecard, or a scorecard of another bundle, than those in the folder."""
        if self.bundle_sha256 is None or self.scorecard is None or self.verdict is None:
            raise BadInput(
                str(self.folder), "the gate passed, but the bundle or its scorecard is missing", "run the recipe again"
            )
        # As it was written: a newer version of the record may have more fields than the judge saw.
        scorecard_sha256 = json_sha256(read_json(self.folder / "scorecard.json"))
        if self.verdict.scorecard_sha256 != scorecard_sha256:
            raise BadInput(str(self.folder / "verdict.json"), "judges another scorecard than the one beside it", "judge it again")
        if self.scorecard.bundle_sha256 != self.bundle_sha256:
            raise BadInput(
                str(self.folder / "scorecard.json"), "measures another bundle than the one beside it", "measure it again"
            )

    @property
    def dataset_manifest(self) -> Path | None:
        """The manifest of the prepared dataset, where it is still there."""
        record = self.folder / "dataset.json"
        path = self.folder / str(read_json(record).get("folder", "")) / "manifest.json" if record.is_file() else None
        return path if path and path.is_file() else None

    @property
    def dataset_audit(self) -> Path | None:
        """The audit, which lies with the prepared dataset."""
        return self.dataset_manifest.with_name("audit.json") if self.dataset_manifest else None

    @property
    def _bundle(self) -> dict[str, Any]:
        path = self.folder / "bundle" / "bundle.json"
        value = read_json(path) if path.is_file() else {}
        return value if isinstance(value, dict) else {}

    @property
    def identity(self) -> dict[str, str]:
        """The tags that name this run: pushing twice finds them."""
        return {"run_folder": self.folder.name, "bundle_sha256": self.bundle_sha256 or "none"}

    def tags(self) -> dict[str, str]:
        """Return what a run and a model version carry: identity, lineage, verdict and the gate's figures."""
        found: dict[str, Any] = dict(self.identity)
        found["recipe"] = self.recipe.get("name")
        found["recipe_fingerprint"] = fingerprint(without_places(self.recipe))
        found["dataset_fingerprint"] = self.dataset_fingerprint
        if self.dataset_manifest:
            found["dataset_manifest_sha256"] = sha256_file(self.dataset_manifest)
        found |= {f"sha256/{_legal(name)}": sha256 for name, sha256 in self._bundle.get("files", {}).items()}
        found["checkpoint_sha256"] = self._bundle.get("provenance", {}).get("checkpoint_sha256")
        if self.verdict:
            found |= {"verdict": self.verdict.outcome, "suite": self.verdict.suite}
            found["scorecard_sha256"] = self.verdict.scorecard_sha256
            found["gate"] = "; ".join(f"{f.outcome}: {f.rule}" for f in self.verdict.findings)[:TAG_LIMIT]
        if self.scorecard:
            found |= {"split_sha256": self.scorecard.split_sha256, "samples": self.scorecard.samples}
            for name, figure in self.scorecard.figures.items():
                bounds = {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
                found |= {_legal(n): f"{v:.6g}" for n, v in bounds.items() if v is not None}
        return {name: str(value) for name, value in found.items() if value is not None}

    def params(self) -> dict[str, str]:
        """Return the recipe as dotted parameters."""
        return {name: redact(value)[:PARAM_LIMIT] for name, value in flattened(self.recipe)}

    def points(self) -> list[Point]:
        """Return each stage's metrics by epoch, and the scorecard's figures."""
        points = []
        for path in sorted((self.folder / "stages").glob("*/metrics.jsonl")):
            number, _, name = path.parent.name.partition("-")
            stages = len(self.recipe.get("stages") or ())
            stage = stage_title(name, int(number), stages) if name and number.isdigit() else path.parent.name
            for step, record in enumerate(_records(path), 1):
                at = int(record.get("epoch", step))
                points += [
                    Point(f"{stage}/{_legal(figure_name(key))}", v, at)
                    for key, v in numbers(record)
                    if key not in ("epoch", "step")
                ]
        for name, figure in (self.scorecard.figures if self.scorecard else {}).items():
            bounds = {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
            points += [Point(f"gate/{_legal(n)}", v, 0) for n, v in bounds.items() if v is not None and math.isfinite(v)]
        return points


def json_sha256(value: Any) -> str:
    """Return the SHA-256 of a JSON value's canonical text: what a verdict calls its scorecard by."""
    return sha256_bytes(canonical_json(value).encode("utf-8"))


def bundle_identity(bundle: Path) -> str | None:
    """Return the bundle's sha256, that of bundle.json (which holds every other file's), after checking those files."""
    if not (bundle / "bundle.json").is_file():
        return None
    for name, expected in read_json(bundle / "bundle.json").get("files", {}).items():
        path = bundle / name
        if not path.is_file() or sha256_file(path) != expected:
            problem = "is not the file that bundle.json describes (missing, or its sha256 differs)"
            raise BadInput(str(path), problem, "export the bundle again")
    return sha256_file(bundle / "bundle.json")


def flattened(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield ("stages.0.lr", "0.002")-like pairs; a list of plain values stays one parameter."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flattened(item, f"{at}.{_legal(key)}" if at else _legal(key))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for i, item in enumerate(value):
            yield from flattened(item, f"{at}.{i}")
    else:
        yield at, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def numbers(record: dict[str, Any], at: str = "") -> Iterator[tuple[str, float]]:
    """Yield the finite numbers of a metrics record, nested ones as "outer/inner"."""
    for key, value in record.items():
        name = f"{at}/{key}" if at else str(key)
        if isinstance(value, dict):
            yield from numbers(value, name)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield name, float(value)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the last line of a killed run may be half a line
        if isinstance(record, dict):
            yield record


def _legal(name: Any) -> str:
    return re.sub(r"[^\w./ :-]", "_", str(name))


def _dataset_of(run_dir: Path) -> str | None:
    if not (run_dir / "dataset.json").is_file():
        return None
    record = read_json(run_dir / "dataset.json")
    return record.get("fingerprint") or Path(record.get("folder", "")).name or None
