"""How well boxes or masks are found: average precision by the COCO rule, precision and recall at a confidence.

Matching is done once an image; all figures are then sums over images with weights, so that a bootstrap over images costs
a cumulative sum and no second matching. Equal to pycocotools (Lin et al., 2014) for sets without crowds.
Letters: T overlap thresholds, D detections of all images, G true objects of one image, N detections of one image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from glyphyard.core.boxes import Detections, area, box_iou, mask_iou

OVERLAPS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
RECALLS = np.linspace(0, 1, 101)
MOST_PER_IMAGE = 100
AREAS_PX: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
"""Ranges of an object's area in square pixels of its own image, both ends included: COCO's."""


@dataclass(frozen=True)
class Truth:
    """What there is on one image: boxes (G,4), classes (G,) int, masks (G,H,W) bool where overlap is that of masks."""

    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = None


@dataclass(frozen=True)
class Matches:
    """Detections of one class on all images, the surest first, and what became of each at each overlap.

    `hit` and `counts` are (T,D): a true object found; a detection that counts at all (objects and lone detections outside
    the range of areas do not). `image` (D,) and `objects` (images,): whose they are, and how many there are to find.
    """

    scores: np.ndarray
    image: np.ndarray
    hit: np.ndarray
    counts: np.ndarray
    objects: np.ndarray


class Matched(NamedTuple):
    """What became of the detections of one class on one image: `scores` (N,), `hit` and `counts` (T,N), how many objects."""

    scores: np.ndarray
    hit: np.ndarray
    counts: np.ndarray
    objects: int

    def __bool__(self) -> bool:
        """Whether there was anything to find or anything found."""
        return bool(len(self.scores) or self.objects)


def match(
    truths: Sequence[Truth],
    found: Sequence[Detections],
    label: int | None,
    *,
    overlaps: Sequence[float] = OVERLAPS,
    area_px: tuple[float, float] = AREAS_PX["all"],
    masks: bool = False,
    most: int = MOST_PER_IMAGE,
) -> Matches:
    """Match the detections of class `label` (None: whatever the class) with the true objects, image by image."""
    sides = [
        match_image(t, d, label, overlaps=overlaps, area_px=area_px, masks=masks, most=most)
        for t, d in zip(truths, found, strict=True)
    ]
    return gathered(dict(enumerate(sides)), len(sides), len(overlaps))


def gathered(sides: Mapping[int, Matched], images: int, overlaps: int = len(OVERLAPS)) -> Matches:
    """Return the matches of images 0 … `images` - 1; those without a side have nothing of the class and nothing found."""
    own = list(sides.values())
    scores = np.concatenate([np.zeros(0), *(s.scores for s in own)])
    order = np.argsort(-scores, kind="stable")
    image = np.repeat(np.array(list(sides), np.int64), [len(s.scores) for s in own])
    none = np.zeros((overlaps, 0), bool)
    hit = np.concatenate([none, *(s.hit for s in own)], axis=1)
    counts = np.concatenate([none, *(s.counts for s in own)], axis=1)
    objects = np.zeros(images, np.int64)
    objects[list(sides)] = [s.objects for s in own]
    return Matches(scores[order], image[order], hit[:, order], counts[:, order], objects)


def match_image(
    truth: Truth,
    found: Detections,
    label: int | None,
    *,
    overlaps: Sequence[float] = OVERLAPS,
    area_px: tuple[float, float] = AREAS_PX["all"],
    masks: bool = False,
    most: int = MOST_PER_IMAGE,
) -> Matched:
    """Match the detections of class `label` (None: whatever the class) on one image with its true objects."""
    mine = np.ones(len(truth.boxes), bool) if label is None else np.asarray(truth.classes) == label
    kept = found if label is None else found.take(np.asarray(found.classes) == label)
    kept = kept.take(np.argsort(-kept.scores, kind="stable")[:most])
    sizes_G, sizes_N = _sizes(truth.boxes[mine], truth.masks, mine, masks), _sizes(kept.boxes, kept.masks, None, masks)
    outside_G = (sizes_G < area_px[0]) | (sizes_G > area_px[1])
    outside_N = (sizes_N < area_px[0]) | (sizes_N > area_px[1])
    order = np.argsort(outside_G, kind="stable")  # objects that count come first
    if masks:
        none = np.zeros((0, 1, 1), bool)
        there, seen = (m if m is not None else none for m in (truth.masks, kept.masks))
        iou_NG = mask_iou(seen, there[mine] if len(there) == len(mine) else there)[:, order]
    else:
        iou_NG = box_iou(kept.boxes, truth.boxes[mine])[:, order]
    matched, ignored = _assign(iou_NG, outside_G[order], np.asarray(overlaps))
    return Matched(kept.scores, matched & ~ignored, ~ignored & ~(~matched & outside_N), int((~outside_G).sum()))


def _sizes(boxes: np.ndarray, masks: np.ndarray | None, mine: np.ndarray | None, by_mask: bool) -> np.ndarray:
    if not by_mask:
        return area(np.asarray(boxes, np.float64).reshape(-1, 4))
    if masks is None or not len(masks):
        return np.zeros(len(boxes))
    return (masks if mine is None else masks[mine]).sum((1, 2)).astype(np.float64)


def _assign(iou_NG: np.ndarray, outside_G: np.ndarray, overlaps_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each detection, the surest first, the free object that it overlaps most; all thresholds at once.

    Returns (T,N) matched, and matched with an object that does not count. One that counts is preferred, however small the
    overlap beyond the threshold; among equal overlaps the last object wins, as in pycocotools.
    """
    detections, objects = iou_NG.shape
    free = np.ones((len(overlaps_T), objects), bool)
    matched = np.zeros((len(overlaps_T), detections), bool)
    ignored = np.zeros_like(matched)
    if not objects:
        return matched, ignored
    least = np.minimum(overlaps_T, 1 - 1e-10)[:, None]
    inside = int((~outside_G).sum())
    for i in range(detections):
        fits = free & (iou_NG[i] >= least)
        value = np.where(fits, iou_NG[i], -1.0)
        best, any_fit = _last_best(value[:, :inside]), fits[:, :inside].any(1)
        if inside < objects:
            other = inside + _last_best(value[:, inside:])
            best = np.where(any_fit, best, other)
            ignored[:, i] = ~any_fit & fits[:, inside:].any(1)
        matched[:, i] = any_fit | ignored[:, i]
        free[matched[:, i], best[matched[:, i]]] = False
    return matched, ignored


def _last_best(value_TG: np.ndarray) -> np.ndarray:
    columns = value_TG.shape[1]
    return columns - 1 - value_TG[:, ::-1].argmax(1) if columns else np.zeros(len(value_TG), np.int64)


def pooled(matches: Sequence[Matches]) -> Matches:
    """Return the matches of several classes as one list: what precision and recall over all objects stand on."""
    scores = np.concatenate([m.scores for m in matches])
    order = np.argsort(-scores, kind="stable")
    image = np.concatenate([m.image for m in matches])[order]
    hit, counts = (np.concatenate([getattr(m, name) for m in matches], axis=1)[:, order] for name in ("hit", "counts"))
    return Matches(scores[order], image, hit, counts, np.sum([m.objects for m in matches], axis=0))


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the average precision at each overlap, (T,): the mean of precision at 101 recalls; NaN without any object.

    `weights` (images,): how often each image counts (a bootstrap's draw); once each when absent.
    """
    weight = np.ones(len(matches.objects)) if weights is None else np.asarray(weights, np.float64)
    objects = float((weight * matches.objects).sum())
    if objects <= 0:
        return np.full(len(matches.hit), np.nan)
    each = weight[matches.image]
    hits = np.cumsum(matches.hit * each, axis=1)
    misses = np.cumsum((matches.counts & ~matches.hit) * each, axis=1)
    precision = hits / np.maximum(hits + misses, np.spacing(1.0))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]  # the best at this recall or a higher one
    recall = hits / objects
    values = np.zeros(len(matches.hit))
    for t in range(len(values)):
        at = np.searchsorted(recall[t], RECALLS, side="left")
        values[t] = precision[t][at[at < precision.shape[1]]].sum() / len(RECALLS)
    return values


@dataclass(frozen=True)
class AtConfidence:
    """Precision, recall and F1 of the detections with at least `confidence`; NaN where undefined. Counts stand beside them."""

    confidence: float
    precision: float
    recall: float
    f1: float
    hits: float
    found: float
    objects: float


def at_confidence(matches: Matches, confidence: float, overlap: int = 0, weights: np.ndarray | None = None) -> AtConfidence:
    """Return precision and recall at a given confidence and the overlap threshold number `overlap` (0 is IoU 0.5)."""
    weight = np.ones(len(matches.objects)) if weights is None else np.asarray(weights, np.float64)
    sure = (matches.scores >= confidence) * weight[matches.image]
    hits, found = float((matches.hit[overlap] * sure).sum()), float((matches.counts[overlap] * sure).sum())
    return _at(confidence, hits, found, float((weight * matches.objects).sum()))


def _at(confidence: float, hits: float, found: float, objects: float) -> AtConfidence:
    f1 = 2 * hits / (found + objects) if found + objects else float("nan")
    precision, recall = (hits / n if n else float("nan") for n in (found, objects))
    return AtConfidence(confidence, precision, recall, f1, hits, found, objects)


def best_f1(matches: Matches, overlap: int = 0) -> AtConfidence:
    """Return the confidence with the highest F1 and what holds there; the highest such confidence where several tie.

    Chosen on what it is measured on, it flatters: take the confidence from validation and give it to `at_confidence` on test.
    """
    objects = float(matches.objects.sum())
    if not len(matches.scores):
        return _at(1.0, 0.0, 0.0, objects)
    hits, found = np.cumsum(matches.hit[overlap]), np.cumsum(matches.counts[overlap])
    last = np.flatnonzero(np.append(matches.scores[1:] != matches.scores[:-1], True))  # equal scores stand or fall together
    best = last[np.argmax(2 * hits[last] / np.maximum(found[last] + objects, 1))]
    return _at(float(matches.scores[best]), float(hits[best]), float(found[best]), objects)
