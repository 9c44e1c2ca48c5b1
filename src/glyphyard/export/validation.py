"""What the validation split says about a reader that is about to be shipped: what its confidences are worth, how much to
trust an n-gram of the training labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.confidence import Calibration, calibration_error, fit_calibration
from glyphyard.core.decoding import Decode
from glyphyard.core.ngram import Ngram, learn_ngram
from glyphyard.core.ngram_beam import BeamSpec, ngram_decode
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest
from glyphyard.core.text_metrics import edit_distance
from glyphyard.edge.manifest import NGRAM
from glyphyard.export.crops import SHOWN, Show, batches_of, on_all_cores, spread_rows, to_array
from glyphyard.export.parity import Runner
from glyphyard.recipe.run import ExportConfig

MOST_ROWS = 1000  # more would take minutes and change the third digit
BEAM_ROWS = 200  # beam search is slow, and is tried with every pair of the grid
WEIGHTS, BONUSES = (0.15, 0.3, 0.5, 0.7), (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Learnt:
    """What goes into the bundle besides the model."""

    calibration: Calibration | None = None
    beam: BeamSpec | None = None
    files: dict[str, bytes] = field(default_factory=dict)


def learn_from_data(
    dataset: Path,
    manifest: DatasetManifest,
    pixels: PixelContract,
    alphabet: Alphabet,
    run: Runner,
    decode: Decode,
    config: ExportConfig,
    say: Callable[[str], None],
    show: Show | None = None,
) -> Learnt:
    """Read the validation rows with the exported model and fit what the recipe asks for; test rows are never looked at.

    With `show` what it makes of them is read.
    """
    if not (config.calibrate or config.ngram) or not _rows(manifest, "validation") or manifest.pixels != pixels.to_json():
        return Learnt()
    crops, texts = _sample(dataset, manifest, pixels, MOST_ROWS, show)
    truths = [alphabet.canonical(text) for text in texts]
    logits = np.concatenate(on_all_cores(run, batches_of(crops, pixels)), axis=1)
    calibration = _calibration(logits, truths, alphabet, decode, say) if config.calibrate else None
    if not config.ngram or not _rows(manifest, "train"):
        return Learnt(calibration)
    ngram = learn_ngram(_texts(dataset, manifest, "train"), config.ngram, alphabet)
    beam = _beam(logits, truths, alphabet, decode, ngram, say)
    packed = json.dumps(ngram.to_json(), ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return Learnt(calibration, beam, {NGRAM: packed})


def _calibration(
    logits: np.ndarray, truths: list[str], alphabet: Alphabet, decode: Decode, say: Callable[[str], None]
) -> Calibration | None:
    readings = decode(logits, alphabet)
    confidence = np.array([reading.confidence for reading in readings])
    exact = np.array([reading.text == truth for reading, truth in zip(readings, truths, strict=True)])
    found = fit_calibration(confidence, exact)
    if found is None:
        say(f"export: confidences stay as they are ({len(truths)} validation rows cannot tell what they are worth)")
        return None
    after = np.array([found.of(float(c)) for c in confidence])
    errors = f"{calibration_error(confidence, exact):.3f} to {calibration_error(after, exact):.3f}"
    say(f"export: confidences fitted on {len(truths)} validation rows, calibration error {errors} there")
    return found


def _beam(
    logits: np.ndarray, truths: list[str], alphabet: Alphabet, decode: Decode, ngram: Ngram, say: Callable[[str], None]
) -> BeamSpec:
    """Return the weights with the fewest edits on validation rows; of equal ones the first, which trusts the n-gram least."""
    chosen = np.unique(np.linspace(0, len(truths) - 1, min(BEAM_ROWS, len(truths))).round().astype(int))
    some, wanted = logits[:, chosen], [truths[i] for i in chosen]

    def edits(reads: list[str]) -> int:
        return sum(edit_distance(truth, read) for truth, read in zip(wanted, reads, strict=True))

    specs = [BeamSpec(weight=weight, bonus=bonus) for weight, bonus in product(WEIGHTS, BONUSES)]
    counts = [edits([r.text for r in ngram_decode(some, alphabet, ngram, spec)]) for spec in specs]
    best = int(np.argmin(counts))
    greedy = edits([r.text for r in decode(some, alphabet)])
    told = f"{greedy} edits read greedily, {counts[best]} with weight {specs[best].weight:g} and bonus {specs[best].bonus:g}"
    say(f"export: {ngram.order}-gram of the training labels, on {len(wanted)} validation rows {told}")
    return specs[best]


def _rows(manifest: DatasetManifest, split: str) -> int:
    return manifest.splits[split].rows if split in manifest.splits else 0


def _sample(
    dataset: Path, manifest: DatasetManifest, pixels: PixelContract, count: int, show: Show | None
) -> tuple[list[np.ndarray], list[str]]:
    """Return at most `count` validation crops as they are read, and their texts, evenly spaced in order of their ids."""
    columns = ("text", *(SHOWN if show else ("pixels",)))
    rows = list(spread_rows(dataset, manifest.splits["validation"], count, columns))
    crops = show(rows) if show else [to_array(row["pixels"], pixels) for row in rows]
    return crops, [row["text"] for row in rows]


def _texts(dataset: Path, manifest: DatasetManifest, split: str) -> Iterator[str]:
    return (text for (text,) in _columns(dataset, manifest, split, "text"))


def _columns(dataset: Path, manifest: DatasetManifest, split: str, *names: str) -> Iterator[tuple[Any, ...]]:
    for shard in manifest.splits[split].shards:
        with pq.ParquetFile(dataset / shard.path) as file:
            for batch in file.iter_batches(batch_size=256, columns=list(names)):
                yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)
