"""Segmentation bundle + held-out plates → Scorecard: average precision of boxes and masks, and the plates that are read.

All of it in pixels of the original images, through `edge.Segmenter`, plate by plate: no mask outlives its plate but those of
the plates that are drawn. Where classes do not tell characters apart there is nothing to read: the figures of reading are left
out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from glyphyard.core.detection_metrics import Truth
from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest, Scorecard, SplitRecord
from glyphyard.data.outlines import box_of, to_image, unpack
from glyphyard.data.region_masks import polygon_mask
from glyphyard.edge.segmenter import Segmenter
from glyphyard.evaluation.detection import DetectionScores, DetectionTally, score_detections
from glyphyard.evaluation.measure import Origin, card_of, held_out_of, scorecard
from glyphyard.evaluation.samples import COLUMNS, Sample, opened, rows_of, sample_of, write_samples, writing_scores
from glyphyard.evaluation.scoring import score
from glyphyard.evaluation.seen_plates import DrawnPlates, FoundWriter, Seen
from glyphyard.evaluation.speed import one_by_one
from glyphyard.recipe.suite import SuiteConfig

FOUND, DRAWN = "characters.parquet", "drawn.parquet"
TIMED_PLATES, WARM_UP_PLATES = 20, 2
MOST_REPEATS = 1000  # of the bootstrap: each takes every class's curve
Say = Callable[[str], None]


def measure_segmenter(
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
    """Find the characters of the suite's held-out split; write characters.parquet, drawn.parquet and then scorecard.json.

    A bundle that reads also leaves samples.parquet.
    """
    segmenter = Segmenter(bundle, threads=threads)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    if manifest.pixels != segmenter.canvas.to_json():
        problem = f"its canvas is {manifest.pixels}, the bundle's {segmenter.canvas.to_json()}"
        raise BadInput(str(dataset), problem, "use the recipe's own dataset")
    split = held_out_of(dataset, manifest, suite, known)
    say(f"evaluate: finding the characters of {split.rows} {suite.split} plates with the bundle")
    tallies = {masks: DetectionTally(len(segmenter.classes), masks) for masks in (False, True)}
    samples, times_ms, drawn = [], [], DrawnPlates(segmenter)
    with FoundWriter(out / FOUND, segmenter.classes) as characters:
        for seen in look(segmenter, dataset, manifest, split):
            for tally in tallies.values():
                tally.add(seen.truth, seen.found)
            characters.add(seen)
            drawn.add(seen)
            samples.append(seen.sample)
            times_ms.append(seen.ms)
    speed = one_by_one(times_ms, WARM_UP_PLATES, TIMED_PLATES, threads)
    scores = {masks: _scores(tally, samples, segmenter, suite) for masks, tally in tallies.items()}
    figures = dict(scores[False].figures) | {f"mask_{name}": figure for name, figure in scores[True].figures.items()}
    alphabet = "".join(segmenter.classes) if segmenter.manifest.reads else ""
    origin = Origin(manifest.fingerprint, split.content_sha256, segmenter.sha256, alphabet)
    card = _read_card(samples, suite, origin, speed, out) if segmenter.manifest.reads else None
    card = replace(card, figures=figures | card.figures) if card else card_of(samples, suite, origin, figures, {}, speed)
    with writing_scores(out):
        drawn.write(out / DRAWN)
        card.write(out / "scorecard.json")
    return card


def look(segmenter: Segmenter, dataset: Path, manifest: DatasetManifest, split: SplitRecord) -> Iterator[Seen]:
    """Find the characters of all rows of a split, in order of their ids."""
    if "prepare_outlines" not in manifest.versions:
        raise BadInput(str(dataset), "its rows have no outlines", "prepare it for task segmentation")
    reads, classes = segmenter.manifest.reads, {name: i for i, name in enumerate(segmenter.classes)}
    for row in rows_of(dataset, split, columns=(*COLUMNS, "outlines")):
        own, image = opened(row, dataset)
        height, width = image.shape[:2]
        place = segmenter.canvas.place(width, height)
        labels, on_canvas = unpack(own["outlines"])
        labels = [manifest.fold.get(label, label) for label in labels]
        if strangers := sorted(set(labels) - set(classes)) if reads else []:
            raise BadInput(str(dataset), f"the bundle has no classes {strangers}", "use the recipe's own dataset")
        outlines = [to_image(outline, place) for outline in on_canvas]
        truth = Truth(
            np.array([box_of(o) for o in outlines]).reshape(-1, 4),
            np.array([classes[label] if reads else 0 for label in labels], np.int64),
            np.array([polygon_mask(o, height, width) for o in outlines], bool).reshape(-1, height, width),
        )
        started = time.perf_counter()
        found = segmenter.find(image)
        taken_ms = (time.perf_counter() - started) * 1e3
        reading = segmenter.read_found(found)
        sample = sample_of(own, image, reading.text, reading.confidence)
        yield Seen(sample, truth, found, image, outlines, labels, taken_ms)


def _scores(tally: DetectionTally, samples: Sequence[Sample], segmenter: Segmenter, suite: SuiteConfig) -> DetectionScores:
    return score_detections(
        tally,
        segmenter.classes,
        confidence=segmenter.manifest.confidence,
        groups=[sample.group for sample in samples],
        level=suite.confidence,
        repeats=min(suite.bootstrap, MOST_REPEATS),
    )


def _read_card(samples: Sequence[Sample], suite: SuiteConfig, origin: Origin, speed: dict[str, float], out: Path) -> Scorecard:
    scores, raw = score(samples, suite.equivalences, suite.case), score(samples, ())
    columns = {"edits": scores.edits, "exact": scores.exact, "characters": scores.characters}
    with writing_scores(out):
        write_samples(out / "samples.parquet", samples, columns | {"raw_edits": raw.edits, "raw_exact": raw.exact})
    return scorecard(samples, scores, raw, suite, origin, speed)
