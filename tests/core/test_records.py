"""Records are written as JSON and come back as they were, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.core.records import (
    BundleRecord,
    CheckpointRecord,
    DatasetManifest,
    Figure,
    Finding,
    Record,
    Release,
    Scorecard,
    Shard,
    SplitRecord,
    Verdict,
)

FIGURE = Figure(0.5, 0.4, 0.6, 10)
RECORDS: list[Record] = [
    DatasetManifest(
        "f",
        "AB",
        {"O": "0"},
        {"height": 32},
        ["s"],
        {"test": SplitRecord(3, 2, "h", [Shard("a.parquet", 3, "h")])},
        0,
        {"x": "1"},
    ),
    CheckpointRecord("main", "best.pt", "h", None, "r", "d", 3, {"cer": 0.1, "loss": None}, 1.5),
    BundleRecord("bundle", {"model.onnx": "h"}, "h", 18, 1e-6, 70),
    Scorecard(
        "s",
        "d",
        "test",
        "h",
        "b",
        1,
        1,
        0.95,
        {"cer": FIGURE},
        {"a=b": {"cer": FIGURE}},
        [["A", "", 3]],
        [{"low": 0.0}],
        [],
        {"ms": 1.0},
    ),
    Verdict("PASS", "s", [Finding("r", "PASS", 0.5, None, 0.6, 0.4, 10, "m")], "m", "h"),
    Release("m", None, None, "uri", None, "why"),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_from_its_file(record: Record, tmp_path: Path) -> None:
    record.write(tmp_path / "r.json")
    assert type(record).read(tmp_path / "r.json") == record


def changed(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(RECORDS[3].to_json())) | changes


@pytest.mark.parametrize(
    "value",
    [
        changed(surprise=1),
        {k: v for k, v in changed().items() if k != "suite"},
        changed(suite=3),
        changed(samples="1"),
        changed(samples=True),
        changed(samples=1.5),
        changed(confidence=None),
        changed(figures=[]),
        changed(figures={"cer": 0.5}),
        changed(figures={"cer": {"value": 0.5}}),
        changed(confusion={}),
        changed(speed={"ms": "fast"}),
        [],
        None,
        "text",
    ],
)
def test_what_is_not_the_record_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(BadInput, match=r"scorecard\.json"):
        Scorecard.from_json(value, "scorecard.json")


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    card = Scorecard.from_json(changed(confidence=1), "x")
    assert card.confidence == 1


def test_what_may_be_none_may_be_none() -> None:
    assert Figure.from_json({"value": None, "low": None, "high": None, "count": 0}, "x") == replace(
        FIGURE, value=None, low=None, high=None, count=0
    )
