"""Bundle + held-out set → Scorecard, through the code that the device runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest, Figure, Scorecard, SplitRecord
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.language import GREEDY
from glyphyard.edge.recognizer import Recognizer
from glyphyard.evaluation.calibration import calibration_bins, coverage_at, reject_curve
from glyphyard.evaluation.held_out import HeldOutRow, held_out_sha256, refuse_another_set
from glyphyard.evaluation.samples import (
    Sample,
    first_images,
    held_out,
    held_out_rows,
    read_samples,
    write_samples,
    writing_scores,
)
from glyphyard.evaluation.scoring import Scores, score, slices
from glyphyard.evaluation.speed import latency, rates
from glyphyard.recipe.suite import SuiteConfig

TIMED_CROPS, WARM_UP_CROPS = 200, 10
PRECISION = 0.99
Say = Callable[[str], None]
# Bundle, dataset, its split, batch size, threads of one call → all samples in order; cluster.measure has one with many workers.
Reader = Callable[[Path, Path, SplitRecord, int, int | None], list[Sample]]


def read_here(
    bundle: Path, dataset: Path, split: SplitRecord, batch_size: int, threads: int | None, decode: str = GREEDY
) -> list[Sample]:
    """Read all rows of a split in this process; `decode` as in `Recognizer`."""
    return list(read_samples(Recognizer(bundle, threads=threads, decode=decode), dataset, split, batch_size))


@dataclass(frozen=True)
class Origin:
    """Where readings come from: the hashes of the dataset, of its split and of the bundle, and the reader's alphabet."""

    dataset: str
    split: str
    bundle: str
    alphabet: str = ""


class Measured(Protocol):
    """One row of a held-out set, whatever was found on it."""

    @property
    def row(self) -> HeldOutRow: ...

    @property
    def group(self) -> str: ...


def measure(
    bundle: Path,
    dataset: Path,
    suite: SuiteConfig,
    out: Path,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    say: Say = print,
    known: Path | None = None,
    reader: Reader = read_here,
    decode: str = GREEDY,
) -> Scorecard:
    """Read the suite's held-out split with the bundle; write `out`/samples.parquet and then `out`/scorecard.json.

    `threads`: cores for one call of the reader (1 when None). `known` lists the rows of the suite's frozen set, to say what
    changed. `decode` is how `reader` decodes, for the timing of single crops. Apart from `speed` the scorecard depends on nothing else, the reader's number of workers included.
    """
    opened = Bundle.open(bundle)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    split = held_out_of(dataset, manifest, suite, known)
    recognizer = Recognizer(opened, threads=threads, decode=decode)
    say(f"evaluate: reading {split.rows} {suite.split} crops with the bundle")
    started = time.perf_counter()
    samples = reader(bundle, dataset, split, batch_size, threads)
    seconds = time.perf_counter() - started
    speed = rates(len(samples), seconds, batch_size, threads)
    speed |= latency(recognizer.read, first_images(dataset, split, TIMED_CROPS), WARM_UP_CROPS)
    origin = Origin(manifest.fingerprint, split.content_sha256, opened.sha256, opened.alphabet.characters)
    return write_scored(samples, suite, origin, speed, out)


def held_out_of(dataset: Path, manifest: DatasetManifest, suite: SuiteConfig, known: Path | None) -> SplitRecord:
    """Return the split that the suite judges; another set than the suite's by hash is refused before any crop is read."""
    split = held_out(dataset, manifest, suite)
    if suite.held_out is not None:
        refuse_another_set(suite.held_out, held_out_rows(dataset, split), known, f"suite {suite.name}")
    return split


def write_scored(samples: list[Sample], suite: SuiteConfig, origin: Origin, speed: dict[str, float], out: Path) -> Scorecard:
    """Score samples and write samples.parquet and scorecard.json."""
    scores = score(samples, suite.equivalences, suite.case)
    raw = score(samples, ()) if suite.equivalences or suite.case == "ignore" else scores
    card = scorecard(samples, scores, raw, suite, origin, speed)
    columns = {
        "edits": scores.edits,
        "exact": scores.exact,
        "characters": scores.characters,
        "raw_edits": raw.edits,
        "raw_exact": raw.exact,
    }
    with writing_scores(out):
        write_samples(Path(out) / "samples.parquet", samples, columns)
        card.write(Path(out) / "scorecard.json")
    return card


def scorecard(
    samples: Sequence[Sample], scores: Scores, raw: Scores, suite: SuiteConfig, origin: Origin, speed: dict[str, float]
) -> Scorecard:
    """Sum up scored samples."""
    if not samples:
        raise BadInput(f"suite {suite.name}", "there is no sample to score", "hold out more groups")
    confidence, exact = np.array([sample.confidence for sample in samples]), scores.exact
    figures = scores.figures(suite) | {f"raw_{name}": figure for name, figure in raw.figures(suite).items()}
    stated = not np.isnan(confidence).any()  # predictions made elsewhere may come without
    coverage = coverage_at(PRECISION, confidence, exact) if stated else None
    figures["coverage_at_99_precision"] = Figure(coverage, None, None, len(samples))
    card = card_of(samples, suite, origin, figures, slices(samples, scores, suite), speed)
    return replace(
        card,
        confusion=scores.confusion,
        calibration=calibration_bins(confidence, exact) if stated else [],
        reject_curve=reject_curve(confidence, exact) if stated else [],
    )


def card_of(
    samples: Sequence[Measured],
    suite: SuiteConfig,
    origin: Origin,
    figures: dict[str, Figure],
    by_slice: dict[str, dict[str, Figure]],
    speed: dict[str, float],
) -> Scorecard:
    """Return the scorecard of any task, without what only readings have: confusion, calibration, reject curve."""
    return Scorecard(
        suite=suite.name,
        dataset_fingerprint=origin.dataset,
        split=suite.split,
        split_sha256=origin.split,
        bundle_sha256=origin.bundle,
        samples=len(samples),
        groups=len({sample.group for sample in samples}),
        confidence=suite.confidence,
        figures=figures,
        slices=by_slice,
        confusion=[],
        calibration=[],
        reject_curve=[],
        speed=speed,
        versions={name: version(name) for name in ("glyphyard", "numpy", "pyarrow")},
        held_out=held_out_sha256(sample.row for sample in samples),
        alphabet=origin.alphabet,
        equivalences=list(suite.equivalences),
        case=suite.case,
    )
