"""Two runs in one page: what one read and the other did not, crop by crop, with the tests that say whether it is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glyphyard.core.files import write_text, writing
from glyphyard.core.redact import redact
from glyphyard.report.catalogue import page_of
from glyphyard.report.crops import Column, Picture, columns_of, load_pictures, sides_in_words
from glyphyard.report.page import templates
from glyphyard.report.read import RunFiles
from glyphyard.report.wording import moment

MOST_CROPS = 60


@dataclass(frozen=True)
class PairedCrop:
    """One crop that both runs read; `id` is its row in the dataset of the run that its picture comes from."""

    id: int
    path: str
    truth: str
    read_a: str
    read_b: str
    confidence_a: float | None
    confidence_b: float | None


@dataclass(frozen=True)
class TestLine:
    """One paired test as a row of the page: metric, both figures, their difference, interval, p value, what it means."""

    metric: str
    a: str
    b: str
    difference: str
    interval: str
    p_value: str
    meaning: str


@dataclass(frozen=True)
class Comparison:
    """What the page shows of two runs; `lost` was read by A alone, `won` by B alone, `other` by neither, and differently."""

    run_a: Path
    run_b: Path
    crops: int
    only_a: int
    only_b: int
    policy: str
    fold: Mapping[str, str]
    tests: list[TestLine]
    slices: list[TestLine]
    lost: list[PairedCrop]
    won: list[PairedCrop]
    other: list[PairedCrop]
    both_right: int
    notes: list[str] = field(default_factory=list)


def write_diff(comparison: Comparison, target: Path) -> Path:
    """Write the page, self-contained, to `target`."""
    page = render_diff(comparison)
    with writing(target):
        write_text(target, page)
    return target


def render_diff(comparison: Comparison) -> str:
    """Return the page as one HTML text."""
    a, b = RunFiles.read(comparison.run_a), RunFiles.read(comparison.run_b)
    shown = {name: getattr(comparison, name)[:MOST_CROPS] for name in ("lost", "won", "other")}
    pictures = _pictures(b, [crop for crops in shown.values() for crop in crops])
    galleries = {
        name: [_card(crop, pictures.get(crop.id, Picture()), comparison.fold) for crop in crops] for name, crops in shown.items()
    }
    # What a generator made is another picture in each run: what both began from is shown, and said.
    enlarges = page_of(a).enlarges or page_of(b).enlarges
    about = f"The pictures are B's. {sides_in_words(pictures.values())}".rstrip() if enlarges else ""
    environment, style = templates()
    return environment.get_template("diff.html.j2").render(
        style=style,
        c=comparison,
        a=_head(a),
        b=_head(b),
        galleries=galleries,
        about=about,
        recipe=_recipe_changes(a.recipe, b.recipe),
    )


def _head(run: RunFiles) -> dict[str, Any]:
    return {
        "name": run.recipe.get("name") or run.folder.name,
        "folder": run.folder.name,
        "started": moment(run.environment.get("started")),
        "outcome": run.verdict.outcome.replace("_", " ") if run.verdict else "not judged",
        "tone": {"PASS": "pass", "FAIL": "fail", "INSUFFICIENT_DATA": "unsure"}.get(
            run.verdict.outcome if run.verdict else "", "none"
        ),
        "bundle": _bundle(run.scorecard.bundle_sha256) if run.scorecard else "bundle –",
    }


def _bundle(digest: str) -> str:
    kind, _, value = digest.rpartition(":")  # "predictions:<hash>" for readings made elsewhere
    return f"{kind or 'bundle'} {value[:12]}"


def _pictures(run: RunFiles, crops: Sequence[PairedCrop]) -> dict[int, Picture]:
    if run.dataset is None or run.manifest is None or not crops:
        return {}
    split = run.scorecard.split if run.scorecard else "test"
    return load_pictures(run.dataset, run.manifest, split, {crop.id for crop in crops}, page_of(run).enlarges)


def _card(crop: PairedCrop, picture: Picture, fold: Mapping[str, str]) -> dict[str, Any]:
    readings: list[tuple[str, list[Column], str, float | None]] = [
        (name, columns_of(crop.truth, read, fold), read, sure)
        for name, read, sure in (("A", crop.read_a, crop.confidence_a), ("B", crop.read_b, crop.confidence_b))
    ]
    return {"path": crop.path, "truth": crop.truth, "image": picture.uri, "side": picture.name, "readings": readings}


def _recipe_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    flat_a, flat_b = _flat(a), _flat(b)
    keys = [*flat_a, *(key for key in flat_b if key not in flat_a)]
    return [
        (key, redact(str(flat_a.get(key, "–"))), redact(str(flat_b.get(key, "–"))))
        for key in keys
        if flat_a.get(key) != flat_b.get(key)
    ]


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        items = [(item.get("name", i) if isinstance(item, dict) else i, item) for i, item in enumerate(value)]
    if not items:
        return {at: value}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= _flat(item, f"{at}.{key}" if at else str(key))
    return found
