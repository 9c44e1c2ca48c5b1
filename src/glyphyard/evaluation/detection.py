"""The figures of a detector: mAP at 0.5 and at 0.5:0.95, precision, recall and F1, by size, with intervals over images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import (
    AREAS_PX,
    AtConfidence,
    Matched,
    Matches,
    Truth,
    at_confidence,
    average_precision,
    best_f1,
    gathered,
    match_image,
    pooled,
)
from glyphyard.core.records import Figure
from glyphyard.evaluation.intervals import bootstrap_groups

REPEATS = 1000
SHARES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class DetectionScores:
    """Figures by name, each class's AP at 0.5:0.95 and 0.5 with its objects, and where the confidence came from.

    Figures: map, map50, precision, recall, f1; map_small, map50_small … by the object's size, without a value where no
    object is of that size. Their `count` is how many true objects they stand on.
    """

    figures: dict[str, Figure]
    classes: dict[str, dict[str, float]]
    operating: AtConfidence
    best: AtConfidence
    images: int


class DetectionTally:
    """What became of the detections of each class and size, gathered image by image: no mask needs to outlive its image."""

    def __init__(self, classes: int, masks: bool = False) -> None:
        self.images = 0
        self._masks = masks
        self._sides: dict[str, list[dict[int, Matched]]] = {size: [{} for _ in range(classes)] for size in AREAS_PX}

    @classmethod
    def of(cls, truths: Sequence[Truth], found: Sequence[Detections], classes: int, masks: bool = False) -> DetectionTally:
        """Match the detections of all images at once."""
        tally = cls(classes, masks)
        for there, seen in zip(truths, found, strict=True):
            tally.add(there, seen)
        return tally

    def add(self, truth: Truth, found: Detections) -> None:
        """Match what was found on the next image with what is there."""
        for size, span in AREAS_PX.items():
            for label, sides in enumerate(self._sides[size]):
                if side := match_image(truth, found, label, area_px=span, masks=self._masks):
                    sides[self.images] = side
        self.images += 1

    def matches(self, size: str) -> list[Matches]:
        """Return the matches of each class for objects of a size."""
        return [gathered(sides, self.images) for sides in self._sides[size]]


def score_detections(
    tally: DetectionTally,
    names: Sequence[str],
    *,
    confidence: float | None = None,
    groups: Sequence[str] | None = None,
    level: float = 0.95,
    repeats: int = REPEATS,
) -> DetectionScores:
    """Measure what became of all detections; class number k is called `names[k]`.

    `confidence`: the operating point of precision, recall and F1, chosen on validation; the best F1 of this very set when
    absent, which flatters. Intervals are of level `level`, by a bootstrap over `groups` (writers, cameras) or over images;
    none where there are too few (`repeats` 0: none at all).
    """
    of = np.asarray(groups if groups is not None else [str(i) for i in range(tally.images)])

    def interval(statistic: Callable[[np.ndarray], float]) -> tuple[float, float] | None:
        return (
            bootstrap_groups(lambda rows: statistic(np.bincount(rows, minlength=len(of))), of, level, repeats)
            if repeats
            else None
        )

    figures: dict[str, Figure] = {}
    every: list[Matches] = []
    for size in AREAS_PX:
        matches = tally.matches(size)
        every = matches if size == "all" else every
        figures |= _precision_figures(matches, "" if size == "all" else f"_{size}", interval)
    together = pooled(every)
    best = best_f1(together)
    point = best if confidence is None else at_confidence(together, confidence)
    for name in SHARES:
        bounds = interval(lambda w, name=name: getattr(at_confidence(together, point.confidence, weights=w), name))  # type: ignore[misc]
        figures[name] = _figure(getattr(point, name), bounds, int(point.objects))
    return DetectionScores(figures, _by_class(every, names), point, best, tally.images)


def _precision_figures(
    matches: Sequence[Matches], suffix: str, interval: Callable[[Callable[[np.ndarray], float]], tuple[float, float] | None]
) -> dict[str, Figure]:
    memo: dict[bytes, np.ndarray] = {}  # both figures are asked for the same draws, which the seed decides

    def means(weights: np.ndarray) -> np.ndarray:
        key = weights.tobytes()
        if key not in memo:
            memo[key] = _mean_over_classes(np.stack([average_precision(m, weights) for m in matches]))
        return memo[key]

    objects = int(sum(m.objects.sum() for m in matches))
    values = _mean_over_classes(np.stack([average_precision(m) for m in matches]))
    # Of the rare sizes the value alone is told: an interval costs as much as all the rest and is mostly undefined.
    bounds = (
        {"map": interval(lambda w: float(means(w).mean())), "map50": interval(lambda w: float(means(w)[0]))} if not suffix else {}
    )
    plain = {"map": float(values.mean()), "map50": float(values[0])}
    return {f"{name}{suffix}": _figure(value, bounds.get(name), objects) for name, value in plain.items()}


def _mean_over_classes(precision_KT: np.ndarray) -> np.ndarray:
    known = ~np.isnan(precision_KT[:, 0])
    return precision_KT[known].mean(0) if known.any() else np.full(precision_KT.shape[1], np.nan)


def _by_class(matches: Sequence[Matches], names: Sequence[str]) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for name, m in zip(names, matches, strict=True):
        values = average_precision(m)
        if not np.isnan(values[0]):
            table[name] = {"map": float(values.mean()), "map50": float(values[0]), "objects": float(m.objects.sum())}
    return table


def _figure(value: float, bounds: tuple[float, float] | None, count: int) -> Figure:
    low, high = bounds or (None, None)
    return Figure(None if np.isnan(value) else float(value), low, high, count)


def told(scores: DetectionScores) -> Mapping[str, str]:
    """Return the figures as a person reads them, in per cent, by name."""
    return {name: _shown(figure) for name, figure in scores.figures.items()}


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return "–"
    spread = f" [{figure.low:.1%}, {figure.high:.1%}]" if figure.low is not None and figure.high is not None else ""
    return f"{figure.value:.1%}{spread} of {figure.count}"
