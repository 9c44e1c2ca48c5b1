"""Detection bundle + held-out pages → Scorecard: average precision, and precision and recall as the bundle is used.

The pages' own bytes are looked at through the class that the device runs. What was found on each page stands in pages.parquet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth, at_confidence, match, pooled
from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path
from glyphyard.core.pixels import decode_image
from glyphyard.core.records import DatasetManifest, Figure, Scorecard, SplitRecord
from glyphyard.data.page_rows import boxes_of
from glyphyard.edge.detector import Detector
from glyphyard.evaluation.detection import DetectionScores, DetectionTally, score_detections
from glyphyard.evaluation.held_out import HeldOutRow, image_identity
from glyphyard.evaluation.measure import Origin, card_of, held_out_of
from glyphyard.evaluation.samples import rows_of, writing_scores
from glyphyard.evaluation.speed import one_by_one
from glyphyard.recipe.suite import SuiteConfig

PAGES = "pages.parquet"
LEAST_SCORE = 0.001  # average precision counts unsure boxes too
TIMED_PAGES, WARM_UP_PAGES = 20, 2
SLICED = ("map50", "map", "precision", "recall")
Say = Callable[[str], None]


@dataclass(frozen=True)
class PageSample:
    """One held-out page: where it comes from, what stands on it, and what was found, in pixels of the page."""

    id: int
    path: str
    source: str
    group: str
    image_sha256: str
    width: int
    height: int
    text: str
    truth: Truth
    found: Detections

    @property
    def row(self) -> HeldOutRow:
        """The page as a row of its held-out set."""
        return HeldOutRow(self.image_sha256, self.text, self.path)


def measure_detector(
    bundle: Path,
    dataset: Path,
    suite: SuiteConfig,
    out: Path,
    *,
    threads: int | None = None,
    say: Say = print,
    known: Path | None = None,
    **_: Any,
) -> Scorecard:
    """Look at the suite's held-out pages with the bundle; write pages.parquet and then scorecard.json."""
    detector = Detector(bundle, threads=threads)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    if manifest.classes != detector.classes:
        problem = f"its classes are {manifest.classes}, the bundle's {detector.classes}"
        raise BadInput(str(dataset), problem, "use the recipe's own dataset")
    split = held_out_of(dataset, manifest, suite, known)
    say(f"evaluate: looking at {split.rows} {suite.split} {suite.unit} with the bundle")
    samples, times_ms = look(detector, dataset, split)
    confidence = detector.manifest.confidence
    scores = scores_of(samples, detector.classes, confidence, suite, suite.bootstrap)
    origin = Origin(manifest.fingerprint, split.content_sha256, detector.sha256)
    by_slice = slices_of(samples, detector.classes, confidence, suite)
    card = card_of(samples, suite, origin, scores.figures, by_slice, one_by_one(times_ms, WARM_UP_PAGES, TIMED_PAGES, threads))
    with writing_scores(out):
        write_pages(Path(out) / PAGES, samples, len(detector.classes), confidence)
        card.write(Path(out) / "scorecard.json")
    return card


def look(detector: Detector, dataset: Path, split: SplitRecord) -> tuple[list[PageSample], list[float]]:
    """Look at all pages of a split one by one, in order of their ids; also return the milliseconds of each."""
    samples, times_ms = [], []
    for row in rows_of(dataset, split, batch_size=8):
        image = decode_image(row["encoded"], row["path"])
        started = time.perf_counter()
        found = detector.find(image, confidence=LEAST_SCORE)
        times_ms.append((time.perf_counter() - started) * 1e3)
        samples.append(
            PageSample(
                id=row["id"],
                path=row["path"],
                source=row["source"],
                group=row["group"],
                image_sha256=image_identity(row["encoded"], row["path"], image),
                width=image.shape[1],
                height=image.shape[0],
                text=row["text"],
                truth=Truth(*boxes_of(row["text"], detector.classes)),
                found=found,
            )
        )
    return samples, times_ms


def scores_of(
    samples: Sequence[PageSample], classes: Sequence[str], confidence: float, suite: SuiteConfig, repeats: int
) -> DetectionScores:
    """Return the figures of some pages; their intervals are by a bootstrap over groups."""
    return score_detections(
        DetectionTally.of([sample.truth for sample in samples], [sample.found for sample in samples], len(classes)),
        classes,
        confidence=confidence,
        groups=[sample.group for sample in samples],
        level=suite.confidence,
        repeats=repeats,
    )


def slices_of(
    samples: Sequence[PageSample], classes: Sequence[str], confidence: float, suite: SuiteConfig
) -> dict[str, dict[str, Figure]]:
    """Return the figures of each "column=value" of the suite's slices; a page knows its `source` and its `group`."""
    found: dict[str, dict[str, Figure]] = {}
    for column in suite.slices:
        if column not in ("source", "group"):
            continue
        for value in sorted({getattr(sample, column) for sample in samples}):
            some = [sample for sample in samples if getattr(sample, column) == value]
            if len(some) < len(samples):  # a slice that is everything says nothing new
                figures = scores_of(some, classes, confidence, suite, 0).figures
                found[f"{column}={value}"] = {name: figures[name] for name in SLICED}
    return found


def write_pages(path: Path, samples: Sequence[PageSample], classes: int, confidence: float) -> None:
    """Write a row a page: true and found boxes (the unsure ones too), and how many were missed and wrong at `confidence`."""
    rows = [_row(sample, classes, confidence) for sample in samples]
    table = {name: [row[name] for row in rows] for name in rows[0]}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(table), temporary)


def _row(sample: PageSample, classes: int, confidence: float) -> dict[str, Any]:
    matches = [match([sample.truth], [sample.found], label) for label in range(classes)]
    at = at_confidence(pooled(matches), confidence)
    return {
        "id": sample.id,
        "path": sample.path,
        "source": sample.source,
        "group": sample.group,
        "image_sha256": sample.image_sha256,
        "width": sample.width,
        "height": sample.height,
        "true_boxes": sample.truth.boxes.tolist(),
        "true_classes": sample.truth.classes.tolist(),
        "boxes": sample.found.boxes.tolist(),
        "scores": sample.found.scores.tolist(),
        "classes": sample.found.classes.tolist(),
        "confidence": confidence,
        "missed": int(at.objects - at.hits),
        "wrong": int(at.found - at.hits),
    }
