"""Readings made elsewhere are judged by the same rules, and a file that does not fit is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from handmade import Row, write_bundle, write_dataset

from glyphyard.core.errors import BadInput
from glyphyard.core.records import Scorecard
from glyphyard.evaluation.gate import judge
from glyphyard.evaluation.measure import measure
from glyphyard.evaluation.predictions import measure_predictions
from glyphyard.evaluation.samples import load_samples
from glyphyard.recipe.suite import SuiteConfig

ROWS = [Row("AB12"), Row("O0O0", shown="0000"), Row("XY99Z", shown="XY99")]
SUITE = SuiteConfig.model_validate(
    {"name": "s", "thresholds": [{"metric": "cer", "below": 0.5}], "equivalences": ["0O"], "bootstrap": 200}
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set", ROWS)


@pytest.fixture
def score(dataset: Path, tmp_path: Path) -> Callable[..., Scorecard]:
    def run(*lines: object, **options: object) -> Scorecard:
        file = tmp_path / "predictions.jsonl"
        file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return measure_predictions(file, dataset, SUITE, tmp_path / "out", say=lambda line: None, **options)  # type: ignore[arg-type]

    return run


WHOLE = [
    {"path": "crops/0.png", "text": "AB12", "confidence": 0.9},
    {"path": "crops/1.png", "text": "0000", "confidence": 0.8},
    {"id": 2, "text": "XY99", "confidence": 0.4},
]


def test_the_same_readings_give_the_same_figures_as_the_bundle_that_made_them(
    score: Callable[..., Scorecard], dataset: Path, tmp_path: Path
) -> None:
    ours = measure(write_bundle(tmp_path / "bundle"), dataset, SUITE, tmp_path / "bundle-out", say=lambda line: None)
    lines = [
        {"path": s.path, "text": s.read, "confidence": s.confidence}
        for s in load_samples(tmp_path / "bundle-out" / "samples.parquet")
    ]
    theirs = score(*lines)
    for name in ("figures", "slices", "confusion", "calibration", "reject_curve", "held_out", "split_sha256", "groups"):
        assert getattr(theirs, name) == getattr(ours, name), name
    assert theirs.bundle_sha256.startswith("predictions:")
    assert judge(theirs, SUITE).outcome == judge(ours, SUITE).outcome


def test_a_confidence_is_not_needed(score: Callable[..., Scorecard]) -> None:
    card = score(*({k: v for k, v in line.items() if k != "confidence"} for line in WHOLE))
    assert (card.calibration, card.reject_curve, card.figures["coverage_at_99_precision"].value) == ([], [], None)
    assert card.figures["exact_match"].value == pytest.approx(2 / 3)


def test_readings_are_brought_to_the_labels_form(score: Callable[..., Scorecard]) -> None:
    spaced = [WHOLE[0] | {"text": "ab 12"}, *WHOLE[1:]]
    assert score(*spaced).figures["exact_match"].value == pytest.approx(1 / 3)
    card = score(*spaced, normalise=lambda text: text.replace(" ", "").upper())
    assert card.figures["exact_match"].value == pytest.approx(2 / 3)


def test_predictions_of_other_crops_are_left_out(score: Callable[..., Scorecard]) -> None:
    assert score(*WHOLE, {"path": "train/7.png", "text": "X"}).samples == 3


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (WHOLE[:1], r"2 of 3 held-out crops have no prediction \(crops/1.png, crops/2.png\)"),
        ([*WHOLE, WHOLE[0]], r"jsonl:4: the path 'crops/0.png' is predicted twice \(first on line 1\)"),
        ([*WHOLE, {"id": 0, "text": "AB12"}], r"predicted twice: by its id 0 on line 4, by its path on line 1"),
        (["{"], "jsonl:1: expected a JSON object"),
        ([{"path": "crops/0.png"}], "with a `text`"),
        ([{"text": "AB12"}], "`id` .* or a `path`"),
        ([WHOLE[0] | {"confidence": 1.2}], "between 0 and 1"),
        ([WHOLE[0] | {"confidence": True}], "between 0 and 1"),
        ([], "holds no prediction"),
    ],
)
def test_what_does_not_fit_is_refused(score: Callable[..., Scorecard], lines: list[object], problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        score(*lines)
