"""What is learnt from validation rows: believable confidences and how far to trust an n-gram; test rows teach nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from handmade import ALPHABET, PIXELS, Row, write_dataset

from glyphyard.core.confidence import calibration_error
from glyphyard.core.ctc import greedy_decode
from glyphyard.core.ngram import Ngram
from glyphyard.core.ngram_beam import ngram_decode
from glyphyard.core.records import DatasetManifest
from glyphyard.export.validation import Learnt, learn_from_data
from glyphyard.recipe.run import ExportConfig

STEPS, ROWS = 8, 160
SIDES = ("validation", "train")


class Reader:
    """A network that finds row i's number in the first pixel, and says its text with too much confidence."""

    def __init__(self) -> None:
        dice = np.random.default_rng(4)
        self.texts = ["ABC" if i % 2 else "ABD" for i in range(ROWS)]
        self.sure = dice.uniform(0.5, 0.999, ROWS)
        self.right = dice.random(ROWS) < self.sure**4  # of a reading that says 0.9 two in three are right
        self.seen: set[int] = set()

    def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
        found = [self.logits(round(float(image[0, 0, 0]) * 255)) for image in batch_NCHW]
        return np.stack(found, axis=1)

    def logits(self, number: int) -> np.ndarray:
        self.seen.add(number)
        truth = self.texts[number][2]
        other = "D" if truth == "C" else "C"
        read, second = (truth, other) if self.right[number] else (other, truth)
        probabilities = np.full((STEPS, ALPHABET.num_classes), 1e-5)
        probabilities[1::2, 0] = probabilities[6:, 0] = 1
        said = [(0, "A", 1.0), (2, "B", 1.0), (4, read, self.sure[number]), (4, second, 1 - self.sure[number])]
        for step, character, share in said:
            probabilities[step, ALPHABET.encode(character)[0]] = share
        return np.log(probabilities / probabilities.sum(-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def reader() -> Reader:
    return Reader()


def dataset_of(folder: Path, reader: Reader, *splits: str) -> Path:
    """Write the same rows as each of the splits, one manifest over all."""
    rows = []
    for i, text in enumerate(reader.texts):
        image = np.zeros((32, 128), np.uint8)
        image[0, 0] = i
        rows.append(Row(text, image=image))
    records = {}
    for split in splits:
        write_dataset(folder, rows, split, shard_rows=64)
        records |= DatasetManifest.read(folder / "manifest.json").splits
    whole = DatasetManifest.read(folder / "manifest.json").to_json() | {"splits": {k: v.to_json() for k, v in records.items()}}
    DatasetManifest.from_json(whole, "here").write(folder / "manifest.json")
    return folder


def learn(folder: Path, reader: Reader, **config: int | bool) -> Learnt:
    manifest = DatasetManifest.read(folder / "manifest.json")
    settings = ExportConfig(**config)  # type: ignore[arg-type]
    return learn_from_data(folder, manifest, PIXELS, ALPHABET, reader.run, greedy_decode, settings, lambda line: None)


def test_the_calibration_error_falls(tmp_path: Path, reader: Reader) -> None:
    found = learn(dataset_of(tmp_path, reader, *SIDES), reader)
    assert found.calibration is not None
    assert (found.beam, found.files) == (None, {})
    before = calibration_error(reader.sure, reader.right)
    after = calibration_error(np.array([found.calibration.of(float(c)) for c in reader.sure]), reader.right)
    assert before > 0.2
    assert after < before / 3


def test_the_ngram_is_the_training_labels_and_the_beam_does_not_lose(tmp_path: Path, reader: Reader) -> None:
    reader.texts = ["ABC"] * ROWS  # a language that the network does not know: D never ends a text
    found = learn(dataset_of(tmp_path, reader, *SIDES), reader, ngram=3)
    assert found.beam is not None
    ngram = Ngram.from_json(json.loads(found.files["ngram.json"]), ALPHABET, "ngram.json")
    assert sum(ngram.grams.values()) == ROWS * 4
    logits = np.stack([reader.logits(i) for i in range(ROWS)], axis=1)
    greedy = sum(reading.text == "ABC" for reading in greedy_decode(logits, ALPHABET))
    searched = sum(reading.text == "ABC" for reading in ngram_decode(logits, ALPHABET, ngram, found.beam))
    assert searched > greedy + ROWS // 10


def test_test_rows_are_never_looked_at(tmp_path: Path, reader: Reader) -> None:
    assert learn(dataset_of(tmp_path, reader, "test", "train"), reader, ngram=3) == Learnt()
    assert not reader.seen


def test_what_is_not_asked_for_is_not_learnt(tmp_path: Path, reader: Reader) -> None:
    assert learn(dataset_of(tmp_path, reader, *SIDES), reader, calibrate=False) == Learnt()
    assert not reader.seen
