"""Readings made elsewhere, judged by the same rules: a file of JSON lines, one for each held-out crop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.core.records import DatasetManifest, Scorecard
from glyphyard.evaluation.measure import Origin, Say, held_out_of, write_scored
from glyphyard.evaluation.samples import Sample, opened, rows_of, sample_of
from glyphyard.recipe.suite import SuiteConfig

REMEDY = 'write one JSON object a line: {"path": "images/1.jpg", "text": "ABC123", "confidence": 0.98}'
SHOWN = 3
Key = tuple[str, str | int]  # "path" or "id", and its value


@dataclass(frozen=True)
class Prediction:
    """One reading made elsewhere; `confidence` is NaN where none was stated."""

    line: int
    text: str
    confidence: float


def measure_predictions(
    predictions: Path,
    dataset: Path,
    suite: SuiteConfig,
    out: Path,
    *,
    normalise: Callable[[str], str] = lambda text: text,
    say: Say = print,
    known: Path | None = None,
) -> Scorecard:
    """Score a file of predictions against the suite's held-out split; writes the same files as `measure`.

    `normalise` is what the dataset did to its labels. Held-out crops without a prediction, or with two, are a `BadInput`;
    predictions for other crops are counted and left out.
    """
    manifest = DatasetManifest.read(dataset / "manifest.json")
    split = held_out_of(dataset, manifest, suite, known)
    found = read_predictions(predictions)
    samples, missing, used = [], [], 0
    for row in rows_of(dataset, split):
        prediction = _prediction_of(row, found, predictions)
        if prediction is None:
            missing.append(row["path"])
            continue
        used += 1
        row, image = opened(row, dataset)
        samples.append(sample_of(row, image, normalise(prediction.text), prediction.confidence))
    _refuse_missing(missing, split.rows, predictions)
    say(f"evaluate: {used} predictions of {predictions.name}" + _others(len(found) - used))
    origin = Origin(manifest.fingerprint, split.content_sha256, f"predictions:{sha256_file(predictions)}")
    return write_scored(_without_half_confidences(samples), suite, origin, {}, out)


def read_predictions(path: Path) -> dict[Key, Prediction]:
    """Read the file; a broken line, or a crop that is predicted twice, is a `BadInput` with its line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(path), f"cannot read the predictions ({error})", REMEDY) from error
    found: dict[Key, Prediction] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        key, prediction = _parse(line, number, f"{path}:{number}")
        if (first := found.get(key)) is not None:
            problem = f"the {key[0]} {key[1]!r} is predicted twice (first on line {first.line})"
            raise BadInput(f"{path}:{number}", problem, "keep one of the two")
        found[key] = prediction
    if not found:
        raise BadInput(str(path), "holds no prediction", REMEDY)
    return found


def _parse(line: str, number: int, where: str) -> tuple[Key, Prediction]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise BadInput(where, f"expected a JSON object ({error})", REMEDY) from error
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise BadInput(where, "expected an object with a `text`", REMEDY)
    confidence = value.get("confidence")
    if confidence is None:
        confidence = math.nan
    elif isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0 <= confidence <= 1:
        raise BadInput(where, f"expected a `confidence` between 0 and 1, found {confidence!r}", REMEDY)
    prediction = Prediction(number, value["text"], float(confidence))
    if type(value.get("id")) is int:
        return ("id", value["id"]), prediction
    if isinstance(value.get("path"), str):
        return ("path", value["path"]), prediction
    raise BadInput(where, "expected an `id` (a whole number) or a `path`", REMEDY)


def _prediction_of(row: Mapping[str, Any], found: Mapping[Key, Prediction], where: Path) -> Prediction | None:
    by_id, by_path = found.get(("id", row["id"])), found.get(("path", row["path"]))
    if by_id is not None and by_path is not None:
        problem = (
            f"{row['path']} is predicted twice: by its id {row['id']} on line {by_id.line}, by its path on line {by_path.line}"
        )
        raise BadInput(str(where), problem, "keep one of the two")
    return by_path if by_id is None else by_id


def _refuse_missing(missing: list[str], rows: int, where: Path) -> None:
    if missing:
        more = ", …" if len(missing) > SHOWN else ""
        problem = f"{len(missing)} of {rows} held-out crops have no prediction ({', '.join(missing[:SHOWN])}{more})"
        raise BadInput(str(where), problem, 'predict them all; "" says that nothing was read')


def _others(count: int) -> str:
    return f"; {count} more are for other crops and were left out" if count else ""


def _without_half_confidences(samples: Iterable[Sample]) -> list[Sample]:
    from dataclasses import replace

    kept = list(samples)
    if any(math.isnan(sample.confidence) for sample in kept):
        return [replace(sample, confidence=math.nan) for sample in kept]
    return kept
