"""A bundle with an n-gram and a calibration: beam search on request, believable confidences, nothing forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import ALPHABET, GREY_STEP, drawn, edit_manifest, rehash, striped_onnx, write_bundle

from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file, write_json
from glyphyard.core.ngram import learn_ngram
from glyphyard.edge import Recognizer

CURVE = {"slope": 0.5, "offset": -1.0, "rows": 200}


def with_ngram(folder: Path, texts: list[str], **beam: Any) -> Path:
    """Write a hesitant striped reader whose bundle carries an n-gram of `texts`."""
    bundle = write_bundle(folder, striped_onnx(sharpness=1.0))
    write_json(bundle / "ngram.json", learn_ngram(texts, 3, ALPHABET).to_json())
    files = json.loads((bundle / "bundle.json").read_text())["files"]
    edit_manifest(
        bundle,
        files=files | {"ngram.json": sha256_file(bundle / "ngram.json")},
        beam={"width": 8, "weight": 0.5, "bonus": 0.5} | beam,
    )
    return bundle


def between(text: str, at: int) -> np.ndarray:
    """Draw `text` with the character at a place nearly as like the next one in the alphabet."""
    image = drawn(text).astype(int)
    image[:, 8 * at : 8 * at + 4] += int(GREY_STEP * 0.49)
    return image.astype(np.uint8)


def test_beam_search_reads_what_the_labels_make_likely(tmp_path: Path) -> None:
    bundle = with_ngram(tmp_path / "b", ["ABD", "ABD", "ABD"])
    unsure = between("ABC", 2)  # a C that is nearly a D
    assert Recognizer(bundle).read(unsure).text == "ABC"
    assert Recognizer(bundle, decode="beam").read(unsure).text == "ABD"
    assert Recognizer(bundle, decode="beam").read(drawn("XY9")).text == "XY9"


def test_a_grammar_comes_before_the_ngram(tmp_path: Path) -> None:
    bundle = with_ngram(tmp_path / "b", ["ABD"])
    assert Recognizer(bundle, decode="beam", layout="LL[C]").read(between("ABC", 2)).text == "ABC"


@pytest.mark.parametrize("decode", ["beam", "lexicon"])
def test_a_search_that_the_bundle_cannot_do_is_refused(tmp_path: Path, decode: str) -> None:
    with pytest.raises(BadInput, match=r"n-gram|lexicon"):
        Recognizer(write_bundle(tmp_path / "b"), decode=decode)


@pytest.mark.parametrize("content", ['{"schema_version": 1, "order": 3, "grams": {"ab": 1}}', "no json", "[]"])
def test_a_forged_ngram_is_refused(tmp_path: Path, content: str) -> None:
    bundle = with_ngram(tmp_path / "b", ["ABD"])
    (bundle / "ngram.json").write_text(content)
    with pytest.raises(BadInput, match=r"ngram\.json.*SHA-256"):
        Recognizer(bundle)
    rehash(bundle)
    with pytest.raises(BadInput, match=r"ngram\.json"):
        Recognizer(bundle, decode="beam")


def test_confidences_are_calibrated_and_texts_are_not(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b")
    raw = Recognizer(bundle).read(drawn("AB1"))
    edit_manifest(bundle, calibration=CURVE)
    fitted = Recognizer(bundle).read(drawn("AB1"))
    assert (fitted.text, fitted.character_confidences) == (raw.text, raw.character_confidences)
    odds = np.log(raw.confidence / (1 - raw.confidence))
    assert fitted.confidence == pytest.approx(1 / (1 + np.exp(1.0 - 0.5 * odds)), rel=1e-3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("calibration", CURVE | {"slope": -1.0}),
        ("calibration", CURVE | {"slope": float("nan")}),
        ("calibration", {"slope": 1.0}),
        ("beam", {"width": 0, "weight": 0.5, "bonus": 0.5}),
        ("beam", {"width": 10**9, "weight": 0.5, "bonus": 0.5}),
        ("beam", {"width": 8, "weight": float("inf"), "bonus": 0.5}),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path: Path, key: str, value: dict[str, Any]) -> None:
    bundle = write_bundle(tmp_path / "b")
    manifest = json.loads((bundle / "bundle.json").read_text()) | {key: value}
    (bundle / "bundle.json").write_text(json.dumps(manifest))  # write_json refuses NaN, a forger does not
    with pytest.raises(BadInput, match=key):
        Recognizer(bundle)
