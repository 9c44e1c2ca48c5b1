"""What a model version stands on: its figures in words, and its files held against its verdict before it may serve."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import Record
from glyphyard.registry.content import bundle_identity, json_sha256

NEEDED = {"bundle", "scorecard.json", "verdict.json"}
REMEDY = "register its run again with `glyphyard push`"
SHOWN = {"cer": "CER", "exact_match": "exact"}


@dataclass(frozen=True)
class ModelVersion(Record):
    """One version as the registry has it: its aliases, the gate's figures and its lineage."""

    model_name: str
    version: str
    aliases: list[str]
    created: str
    run_id: str | None
    tags: dict[str, str]


def check_evidence(client: Any, version: ModelVersion) -> None:
    """Download a version's bundle, scorecard and verdict, and refuse it unless they belong together and say PASS.

    Tags can be set by hand; files are held against each other: verdict → scorecard → bundle → every file in it.
    """
    where = f"{version.model_name} version {version.version}"
    if not version.run_id:
        raise BadInput(where, "no run stands behind it", REMEDY)
    there = {entry.path for entry in client.list_artifacts(version.run_id)}
    if missing := sorted(NEEDED - there):
        raise BadInput(where, f"its run has no {' and no '.join(missing)}", REMEDY)
    with tempfile.TemporaryDirectory() as folder:
        fetched = {name: Path(client.download_artifacts(version.run_id, name, folder)) for name in sorted(there & NEEDED)}
        try:
            verdict, scorecard = (_object(fetched[name]) for name in ("verdict.json", "scorecard.json"))
            sha256 = bundle_identity(fetched["bundle"])
        except BadInput as error:  # it names a temporary folder that nobody knows
            raise BadInput(where, f"{Path(error.where).name} {error.problem}", REMEDY) from error
    chain = {
        "verdict.json is no PASS": verdict.get("outcome") == "PASS",
        "verdict.json judges another scorecard": verdict.get("scorecard_sha256") == json_sha256(scorecard),
        "scorecard.json measures another bundle": sha256 is not None and scorecard.get("bundle_sha256") == sha256,
        "its tag bundle_sha256 is not the bundle's": version.tags.get("bundle_sha256") == sha256,
    }
    if broken := [problem for problem, holds in chain.items() if not holds]:
        raise BadInput(where, broken[0], REMEDY)


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    return value if isinstance(value, dict) else {}


def figures_line(tags: dict[str, str]) -> str:
    """Return the gate's figures of a version in one line."""
    shown = ", ".join(f"{title} {_percent(tags, name)}" for name, title in SHOWN.items())
    return f"{shown} on {tags.get('samples', '?')} samples of {tags.get('suite', 'no suite')}"


def compared(champion: ModelVersion | None, challenger: ModelVersion) -> list[str]:
    """Return champion and challenger side by side, and whether their figures may be compared at all."""
    lines = [
        f"{role:<10} version {entry.version}: {figures_line(entry.tags)}"
        for role, entry in (("champion", champion), ("challenger", challenger))
        if entry
    ]
    if champion is None:
        return [*lines, "there is no champion yet"]
    ours, theirs = challenger.tags, champion.tags
    if (ours.get("suite"), ours.get("split_sha256")) != (theirs.get("suite"), theirs.get("split_sha256")):
        return [*lines, "not comparable: the two were judged on different crops or by different suites"]
    changes = [
        f"{title} {100 * (float(ours[name]) - float(theirs[name])):+.2f} points"
        for name, title in SHOWN.items()
        if name in ours and name in theirs
    ]
    return [*lines, f"challenger against champion: {', '.join(changes) or 'no figures in common'}"]


def _percent(tags: dict[str, str], name: str) -> str:
    if name not in tags:
        return "unknown"
    interval = f" [{float(tags[f'{name}_low']):.2%}, {float(tags[f'{name}_high']):.2%}]" if f"{name}_low" in tags else ""
    return f"{float(tags[name]):.2%}{interval}"
