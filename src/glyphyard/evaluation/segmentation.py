"""Segmentation bundle + held-out plates → Scorecard: average precision of boxes and masks, and the plates that are read.

All of it in pixels of the original images, through `edge.Segmenter`. Where classes do not tell characters apart there is
nothing to read: the figures of reading are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth, match
from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path
from glyphyard.core.masks import outline_of
from glyphyard.core.plate_reading import sure_ones
from glyphyard.core.records import DatasetManifest, Scorecard, SplitRecord
from glyphyard.data.outlines import box_of, to_image, unpack
from glyphyard.data.region_masks import polygon_mask
from glyphyard.data.region_sheet import draw_regions
from glyphyard.edge.segmenter import Segmenter
from glyphyard.evaluation.detection import DetectionScores, score_detections
from glyphyard.evaluation.measure import Origin, card_of, held_out_of, scorecard
from glyphyard.evaluation.samples import COLUMNS, Sample, opened, rows_of, sample_of, write_samples
from glyphyard.evaluation.scoring import score
from glyphyard.recipe.suite import SuiteConfig

FOUND, DRAWN = "characters.parquet", "drawn.parquet"
TIMED_PLATES, WARM_UP_PLATES = 30, 2
MOST_DRAWN, WELL_FOUND = 24, 6  # pictures, and how many of them show plates without a mistake
MOST_REPEATS = 1000  # of the bootstrap: each takes every class's curve
ENLARGED_PX, MOST_PX, QUALITY = 320, 480, 88  # least and largest width of a picture, and quality of its JPEG
FOUND_COLOUR, FILL = (40, 160, 20), 0.45
Say = Callable[[str], None]


@dataclass(frozen=True)
class Seen:
    """One held-out plate: what stands on it, what was found, its image and the true outlines in its pixels."""

    sample: Sample
    truth: Truth
    found: Detections
    image: np.ndarray
    outlines: list[np.ndarray]
    labels: list[str]


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
    started = time.perf_counter()
    seen = list(look(segmenter, dataset, manifest, split))
    seconds = time.perf_counter() - started
    speed = {"crops_per_s": len(seen) / seconds, "batch_size": 1.0, "threads": float(threads or 1)} | _latency(segmenter, seen)
    scores = {masks: _scores(seen, segmenter, suite, masks) for masks in (False, True)}
    figures = dict(scores[False].figures) | {f"mask_{name}": figure for name, figure in scores[True].figures.items()}
    alphabet = "".join(segmenter.classes) if segmenter.manifest.reads else ""
    origin = Origin(manifest.fingerprint, split.content_sha256, segmenter.sha256, alphabet)
    card = _read_card(seen, suite, origin, speed, out) if segmenter.manifest.reads else None
    samples = [one.sample for one in seen]
    card = replace(card, figures=figures | card.figures) if card else card_of(samples, suite, origin, figures, {}, speed)
    write_found(out / FOUND, seen, segmenter)
    write_drawn(out / DRAWN, seen, segmenter)
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
        found = segmenter.find(image)
        reading = segmenter.read_found(found)
        sample = sample_of(own, image, reading.text, reading.confidence)
        yield Seen(sample, truth, found, image, outlines, labels)


def _scores(seen: Sequence[Seen], segmenter: Segmenter, suite: SuiteConfig, masks: bool) -> DetectionScores:
    return score_detections(
        [s.truth for s in seen],
        [s.found for s in seen],
        segmenter.classes,
        confidence=segmenter.manifest.confidence,
        masks=masks,
        groups=[s.sample.group for s in seen],
        level=suite.confidence,
        repeats=min(suite.bootstrap, MOST_REPEATS),
    )


def _read_card(seen: Sequence[Seen], suite: SuiteConfig, origin: Origin, speed: dict[str, float], out: Path) -> Scorecard:
    samples = [s.sample for s in seen]
    scores, raw = score(samples, suite.equivalences, suite.case), score(samples, ())
    columns = {"edits": scores.edits, "exact": scores.exact, "characters": scores.characters}
    write_samples(out / "samples.parquet", samples, columns | {"raw_edits": raw.edits, "raw_exact": raw.exact})
    return scorecard(samples, scores, raw, suite, origin, speed)


def _latency(segmenter: Segmenter, seen: Sequence[Seen]) -> dict[str, float]:
    """Return the median and the 95th percentile of finding one plate's characters with their masks, in milliseconds."""
    for one in seen[:WARM_UP_PLATES]:
        segmenter.find(one.image)
    times_ms = []
    for one in seen[:TIMED_PLATES]:
        started = time.perf_counter()
        segmenter.find(one.image)
        times_ms.append((time.perf_counter() - started) * 1e3)
    return {"ms_per_crop_p50": float(np.percentile(times_ms, 50)), "ms_per_crop_p95": float(np.percentile(times_ms, 95))}


def write_found(path: Path, seen: Sequence[Seen], segmenter: Segmenter) -> None:
    """Write one Parquet row a character that was found: its plate, class, score, box and outline in pixels; atomically."""
    rows = [
        {
            "id": s.sample.id,
            "path": s.sample.path,
            "class": segmenter.classes[int(s.found.classes[k])],
            "score": float(s.found.scores[k]),
            "box": s.found.boxes[k].round(2).tolist(),
            "outline": outline_of(s.found.masks[k]).reshape(-1).tolist() if s.found.masks is not None else [],
        }
        for s in seen
        for k in range(len(s.found))
    ]
    numbers = pa.list_(pa.float64())
    kinds = {"id": pa.int64(), "path": pa.string(), "class": pa.string(), "score": pa.float64()}
    schema = pa.schema(list((kinds | {"box": numbers, "outline": numbers}).items()))
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def write_drawn(path: Path, seen: Sequence[Seen], segmenter: Segmenter) -> None:
    """Write the plates that a report shows, drawn: the worst first, then some without a mistake; atomically."""
    told = [(s, sure_ones(s.found, segmenter.manifest.confidence)) for s in seen]
    rows = []
    for s, sure in told:
        hits = match([s.truth], [sure], None, overlaps=(0.5,)).hit[0].sum()
        rows.append({"id": s.sample.id, "missed": len(s.labels) - int(hits), "extra": len(sure) - int(hits)})
    wrong = [r["missed"] + r["extra"] for r in rows]
    if segmenter.manifest.reads:
        wrong = [w + (s.sample.read != s.sample.truth) for w, s in zip(wrong, seen, strict=True)]
    order = np.argsort([-w for w in wrong], kind="stable").tolist()
    worst, well = [i for i in order if wrong[i]], [i for i in order if not wrong[i]]
    chosen = worst[: MOST_DRAWN - min(WELL_FOUND, len(well))]
    table = [rows[i] | _drawn(told[i][0], told[i][1], segmenter) for i in chosen + well[: MOST_DRAWN - len(chosen)]]
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(table), temporary)


def _drawn(seen: Seen, sure: Detections, segmenter: Segmenter) -> dict[str, Any]:
    factor = max(1, -(-ENLARGED_PX // seen.image.shape[1]))
    image = seen.image if seen.image.ndim == 3 else cv2.cvtColor(seen.image, cv2.COLOR_GRAY2BGR)
    large = cv2.resize(image[..., :3], None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    true = draw_regions(large, seen.truth.boxes * factor, seen.labels, [o * factor for o in seen.outlines], named=False)
    names = [segmenter.classes[int(k)] for k in sure.classes]
    made = draw_regions(_filled(large, sure, factor), sure.boxes * factor, names, named=segmenter.manifest.reads)
    reads = segmenter.manifest.reads
    return {
        "path": seen.sample.path,
        "truth": seen.sample.truth,
        "read": seen.sample.read if reads else None,
        "right": seen.sample.read == seen.sample.truth if reads else None,
        "true": _encoded(true),
        "found": _encoded(made),
    }


def _filled(image: np.ndarray, sure: Detections, factor: int) -> np.ndarray:
    picture = image.astype(np.float32)
    for mask in sure.masks if sure.masks is not None else ():
        there = np.kron(mask, np.ones((factor, factor), bool))
        picture[there] = picture[there] * (1 - FILL) + np.array(FOUND_COLOUR, np.float32) * FILL
    return picture.astype(np.uint8)


def _encoded(image: np.ndarray) -> bytes:
    if image.shape[1] > MOST_PX:
        size = (MOST_PX, max(1, round(image.shape[0] * MOST_PX / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
