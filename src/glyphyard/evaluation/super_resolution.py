"""Super-resolution bundle + held-out set → Scorecard: how alike the pictures are, and what is read of each enlargement.

Three views of each crop, side by side, all read by the bundle's recogniser: the low-resolution side enlarged bicubically, what
the generator makes of it, and the high-resolution side. `exact_match`, `cer`, slices, confusion and calibration are those of
the generator's view; `word_acc` and `char_acc` (1 - CER) are stated for all three. Crops of a dataset without a
low-resolution side are low resolution themselves (a real camera's): there is no likeness, and in place of the high side stands
the crop as it is, resized to what the recogniser reads and no smaller in between. A real crop may be larger than the low side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path
from glyphyard.core.image_metrics import psnr, ssim
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest, Figure, Scorecard, SplitRecord
from glyphyard.core.voting import vote
from glyphyard.edge.golden import EXPORT_AGAIN
from glyphyard.edge.restorer import Restorer, RestorerManifest
from glyphyard.evaluation.clusters import share
from glyphyard.evaluation.intervals import GroupSums, bootstrap_groups, ratio_bootstrap
from glyphyard.evaluation.measure import Origin, held_out_of, scorecard
from glyphyard.evaluation.samples import COLUMNS, PREPARE_AGAIN, Sample, opened, rows_of, sample_of, write_samples, writing_scores
from glyphyard.evaluation.scoring import Scores, score
from glyphyard.evaluation.speed import latency, rates
from glyphyard.recipe.suite import SuiteConfig

VIEWS = ("bicubic", "made", "hr", "as_is")  # what is read; the generator's view has no prefix in the figures' names
PREFIX = {"bicubic": "bicubic_", "made": "", "hr": "hr_", "as_is": "as_is_"}
STRIPS = "strips.parquet"
MOST_STRIPS = 24
TIMED_CROPS, WARM_UP_CROPS = 50, 5
Say = Callable[[str], None]


@dataclass(frozen=True)
class Seen:
    """One held-out crop: the sample as the generator's view was read, every view's reading, likeness, and the pictures."""

    sample: Sample
    readings: dict[str, Reading]
    likeness: dict[str, float]  # psnr, ssim, bicubic_psnr, bicubic_ssim; nothing without a high side
    pictures: dict[str, np.ndarray]  # "low" and the views


def measure_restorer(
    bundle: Path,
    dataset: Path,
    suite: SuiteConfig,
    out: Path,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    say: Say = print,
    known: Path | None = None,
    **_: Any,
) -> Scorecard:
    """Enlarge and read the suite's held-out split; write samples.parquet, strips.parquet (pictures) and then scorecard.json."""
    restorer = Restorer(bundle, threads=threads)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    split = held_out_of(dataset, manifest, suite, known)
    alone = "" if manifest.low_pixels else ", which have no high-resolution side"
    say(f"evaluate: enlarging and reading {split.rows} {suite.split} crops with the bundle{alone}")
    started = time.perf_counter()
    seen = look(restorer, dataset, manifest, split, batch_size)
    seconds = time.perf_counter() - started
    speed = rates(len(seen), seconds, batch_size, threads)
    speed |= latency(restorer.read, [s.pictures["low"] for s in seen[:TIMED_CROPS]], WARM_UP_CROPS)
    samples = [s.sample for s in seen]
    scores = {view: score([_viewed(s, view) for s in seen], suite.equivalences, suite.case) for view in seen[0].readings}
    raw = score(samples, ())
    alphabet = restorer.recogniser.bundle.alphabet.characters
    origin = Origin(manifest.fingerprint, split.content_sha256, restorer.sha256, alphabet)
    card = scorecard(samples, scores["made"], raw, suite, origin, speed)
    cost = export_cost(restorer.manifest, split.content_sha256, suite)
    card = replace(card, figures=card.figures | figures_of(seen, scores, suite) | cost)
    with writing_scores(out):
        _write(seen, scores, raw, Path(out))
        card.write(Path(out) / "scorecard.json")
    return card


def look(restorer: Restorer, dataset: Path, manifest: DatasetManifest, split: SplitRecord, batch_size: int) -> list[Seen]:
    """Enlarge and read all rows of a split, in order of their ids."""
    paired = manifest.low_pixels is not None
    for name, found, wanted in (("low", manifest.low_pixels, restorer.low), ("high", manifest.pixels, restorer.pixels)):
        if paired and found != wanted.to_json():
            raise BadInput(
                str(dataset), f"its {name} side is {found}, the bundle's {wanted.to_json()}", "use the recipe's own dataset"
            )
    seen: list[Seen] = []
    waiting: list[dict[str, Any]] = []
    columns = (*COLUMNS, "pixels") if paired else COLUMNS
    for row in rows_of(dataset, split, batch_size=batch_size, columns=columns):
        waiting.append(row)
        if len(waiting) == batch_size:
            seen += _look(restorer, dataset, waiting, paired)
            waiting = []
    return seen + (_look(restorer, dataset, waiting, paired) if waiting else [])


def _look(restorer: Restorer, dataset: Path, rows: list[dict[str, Any]], paired: bool) -> list[Seen]:
    whole = [opened(row, dataset) for row in rows]
    if paired and any(row["lr_pixels"] is None for row in rows):
        raise BadInput(str(dataset), "a held-out row has no low-resolution side", PREPARE_AGAIN)
    if paired:
        small = [_image(row["lr_pixels"], restorer.low) for row in rows]
    else:
        small = [restorer.low.resize(image) for _, image in whole]
    views = {"bicubic": [restorer.enlarge(image) for image in small], "made": restorer.restore(small, len(rows))}
    if paired:
        views["hr"] = [_image(row["pixels"], restorer.pixels) for row in rows]
    else:
        views["as_is"] = [restorer.pixels.resize(image) for _, image in whole]
    read = {view: restorer.recogniser.read_many(images, len(rows)) for view, images in views.items()}
    found = []
    for i, (own, image) in enumerate(whole):
        pictures = {"low": small[i]} | {view: images[i] for view, images in views.items()}
        likeness = {
            f"{PREFIX[view]}{name}": measure(pictures[view], pictures["hr"])
            for view in (("bicubic", "made") if paired else ())
            for name, measure in (("psnr", psnr), ("ssim", ssim))
        }
        readings = {view: read[view][i] for view in views}
        sample = sample_of(own, image, readings["made"].text, readings["made"].confidence)
        found.append(Seen(sample, readings, likeness, pictures))
    return found


def _image(data: bytes, pixels: PixelContract) -> np.ndarray:
    shape = (pixels.height, pixels.width) if pixels.channels == 1 else (pixels.height, pixels.width, pixels.channels)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _viewed(seen: Seen, view: str) -> Sample:
    reading = seen.readings[view]
    return replace(seen.sample, read=reading.text, confidence=reading.confidence)


def figures_of(seen: list[Seen], scores: dict[str, Scores], suite: SuiteConfig) -> dict[str, Figure]:
    """Return word and character accuracy of each view and of several frames together, likeness, and the gain."""
    figures: dict[str, Figure] = {}
    group = scores["made"].group
    for view, own in scores.items():
        figures[f"{PREFIX[view]}word_acc"] = share(own.exact, group, suite.confidence)
        figures[f"{PREFIX[view]}char_acc"] = _turned(own.figures(suite)["cer"])
        figures[f"{PREFIX[view]}voted_word_acc"] = voted(seen, view, suite)
    for name in seen[0].likeness:
        figures[name] = _mean(np.array([s.likeness[name] for s in seen]), group, suite)
    gain = scores["made"].exact.astype(float) - scores["bicubic"].exact.astype(float)
    figures["word_acc_gain"] = _mean(gain, group, suite)
    return figures


def export_cost(manifest: RestorerManifest, content_sha256: str, suite: SuiteConfig) -> dict[str, Figure]:
    """Return what the shipped form of the recogniser costs on this very set, with its interval; nothing of another set."""
    measured, cost = manifest.export_held_out, manifest.export_cost
    if not cost or measured.get("content_sha256") != content_sha256:
        return {}
    try:
        lost, crops, plates = np.array(measured["groups"], dtype=np.int64).T
        value, count = cost["trained_word_acc"] - cost["exported_word_acc"], int(cost["samples"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"bundle {manifest.name}", "what it says of its exported form's cost cannot be read", EXPORT_AGAIN
        ) from error
    sums = GroupSums(*(np.repeat(each, plates) for each in (lost, crops, crops)))
    low, high = ratio_bootstrap(sums, suite.confidence, suite.bootstrap, suite.seed) or (None, None)
    return {"export_word_acc_cost": Figure(value, low, high, count)}


def voted(seen: list[Seen], view: str, suite: SuiteConfig) -> Figure:
    """Return the share of plates that all frames of a plate read right together: see core.voting."""
    plates: dict[tuple[str, str], list[Seen]] = {}
    alone = len({s.sample.group for s in seen}) == len(seen)  # split by path: then the text alone says which plate it is
    for s in seen:
        plates.setdefault(("" if alone else s.sample.group, s.sample.truth), []).append(s)
    samples = [replace(frames[0].sample, read=vote([f.readings[view] for f in frames]).text) for frames in plates.values()]
    scores = score(samples, suite.equivalences, suite.case)
    return share(scores.exact, scores.group, suite.confidence)


def _turned(cer: Figure) -> Figure:
    def accuracy(rate: float | None) -> float | None:
        return None if rate is None else max(0.0, 1 - rate)

    return Figure(accuracy(cer.value), accuracy(cer.high), accuracy(cer.low), cer.count)


def _mean(values: np.ndarray, group: np.ndarray, suite: SuiteConfig) -> Figure:
    found = bootstrap_groups(lambda rows: float(values[rows].mean()), group, suite.confidence, suite.bootstrap, suite.seed)
    low, high = found or (None, None)
    return Figure(float(values.mean()), low, high, len(values))


def _write(seen: list[Seen], scores: dict[str, Scores], raw: Scores, out: Path) -> None:
    made = scores["made"]
    columns: dict[str, Any] = {"edits": made.edits, "exact": made.exact, "characters": made.characters}
    columns |= {"raw_edits": raw.edits, "raw_exact": raw.exact}
    for view in (view for view in scores if view != "made"):
        columns |= {
            f"{view}_read": np.array([s.readings[view].text for s in seen], dtype=object),
            f"{view}_exact": scores[view].exact,
        }
    columns |= {name: np.array([s.likeness[name] for s in seen]) for name in seen[0].likeness}
    write_samples(out / "samples.parquet", [s.sample for s in seen], columns)
    chosen = choose_strips(scores)
    table: dict[str, list[Any]] = {"id": [seen[i].sample.id for i in chosen], "truth": [seen[i].sample.truth for i in chosen]}
    for name in ("low", *scores):
        table[name] = [cv2.imencode(".png", seen[i].pictures[name])[1].tobytes() for i in chosen]
    for view in scores:
        table[f"{view}_read"] = [seen[i].readings[view].text for i in chosen]
        table[f"{view}_exact"] = [bool(scores[view].exact[i]) for i in chosen]
    table["psnr"] = [seen[i].likeness.get("psnr") for i in chosen]
    with atomic_path(out / STRIPS) as temporary:
        pq.write_table(pa.table(table), temporary)


def choose_strips(scores: dict[str, Scores]) -> list[int]:
    """Choose crops to show, by turns: made legible, made worse, misread either way, read either way; the worst of each first."""
    made, bicubic = scores["made"], scores["bicubic"]
    order = np.argsort(-made.edits, kind="stable")
    kinds = (made.exact & ~bicubic.exact, ~made.exact & bicubic.exact, ~made.exact & ~bicubic.exact, made.exact & bicubic.exact)
    piles = [[int(i) for i in order if kind[i]] for kind in kinds]
    chosen: list[int] = []
    while len(chosen) < MOST_STRIPS and any(piles):
        for pile in piles:
            if pile and len(chosen) < MOST_STRIPS:
                chosen.append(pile.pop(0))
    return chosen
