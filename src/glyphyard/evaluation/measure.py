"""Bundle + held-out set → Scorecard, through the code that the device runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest, Figure, Scorecard, SplitRecord
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.recognizer import Recognizer
from glyphyard.evaluation.calibration import calibration_bins, coverage_at, reject_curve
from glyphyard.evaluation.samples import Sample, first_images, held_out, read_samples, write_samples
from glyphyard.evaluation.scoring import Scores, score, slices
from glyphyard.recipe.suite import SuiteConfig

TIMED_CROPS, WARM_UP_CROPS = 200, 10
PRECISION = 0.99


def measure(
    bundle: Path,
    dataset: Path,
    suite: SuiteConfig,
    out: Path,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    say: Callable[[str], None] = print,
) -> Scorecard:
    """Read the suite's held-out split with the bundle; write `out`/samples.parquet and then `out`/scorecard.json.

    `threads`: cores for one call of the reader (1 when None). Apart from `speed` the scorecard depends on nothing else.
    """
    opened = Bundle.open(bundle)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    split = held_out(dataset, manifest, suite)
    recognizer = Recognizer(opened, threads=threads)
    say(f"evaluate: reading {split.rows} {suite.split} crops with the bundle")
    started = time.perf_counter()
    samples = list(read_samples(recognizer, dataset, split, batch_size))
    seconds = time.perf_counter() - started
    speed = {"crops_per_s": len(samples) / seconds, "batch_size": float(batch_size), "threads": float(threads or 1)}
    speed |= latency(recognizer, dataset, split)
    scores, raw = score(samples, suite.equivalences), score(samples, ())
    identity = (manifest.fingerprint, split.content_sha256, opened.sha256)
    card = scorecard(samples, scores, raw, suite, identity, speed)
    columns = {
        "edits": scores.edits,
        "exact": scores.exact,
        "characters": scores.characters,
        "raw_edits": raw.edits,
        "raw_exact": raw.exact,
    }
    write_samples(Path(out) / "samples.parquet", samples, columns)
    card.write(Path(out) / "scorecard.json")
    return card


def scorecard(
    samples: list[Sample],
    scores: Scores,
    raw: Scores,
    suite: SuiteConfig,
    identity: tuple[str, str, str],
    speed: dict[str, float],
) -> Scorecard:
    """Sum up scored samples; `identity` is the hash of the dataset, of its split and of the bundle."""
    if not samples:
        raise BadInput(f"suite {suite.name}", "there is no sample to score", "hold out more groups")
    confidence, exact = np.array([sample.confidence for sample in samples]), scores.exact
    figures = scores.figures(suite) | {f"raw_{name}": figure for name, figure in raw.figures(suite).items()}
    figures["coverage_at_99_precision"] = Figure(coverage_at(PRECISION, confidence, exact), None, None, len(samples))
    dataset_fingerprint, split_sha256, bundle_sha256 = identity
    return Scorecard(
        suite=suite.name,
        dataset_fingerprint=dataset_fingerprint,
        split=suite.split,
        split_sha256=split_sha256,
        bundle_sha256=bundle_sha256,
        samples=len(samples),
        groups=int(scores.group.max()) + 1,
        confidence=suite.confidence,
        figures=figures,
        slices=slices(samples, scores, suite),
        confusion=scores.confusion,
        calibration=calibration_bins(confidence, exact),
        reject_curve=reject_curve(confidence, exact),
        speed=speed,
        versions={name: version(name) for name in ("glyphyard", "numpy", "pyarrow")},
    )


def latency(recognizer: Recognizer, dataset: Path, split: SplitRecord) -> dict[str, float]:
    """Return the median and the 95th percentile of one call with one decoded crop, in milliseconds."""
    images = first_images(dataset, split, TIMED_CROPS)
    for image in images[:WARM_UP_CROPS]:
        recognizer.read(image)
    times_ms = []
    for image in images:
        started = time.perf_counter()
        recognizer.read(image)
        times_ms.append((time.perf_counter() - started) * 1e3)
    return {"ms_per_crop_p50": float(np.percentile(times_ms, 50)), "ms_per_crop_p95": float(np.percentile(times_ms, 95))}
