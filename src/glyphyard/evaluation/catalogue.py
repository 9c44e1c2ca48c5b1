"""How a task's bundle is measured: one entry a task, chosen here and nowhere else in this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glyphyard.core.records import Scorecard
from glyphyard.evaluation.detector import PAGES, measure_detector
from glyphyard.evaluation.measure import measure
from glyphyard.evaluation.segmentation import DRAWN, FOUND, measure_segmenter
from glyphyard.evaluation.super_resolution import STRIPS, measure_restorer
from glyphyard.evaluation.words import amount, label

SAMPLES = "samples.parquet"


@dataclass(frozen=True)
class Evaluation:
    """`measure`(bundle, dataset, suite, out, batch_size=, threads=, say=, …) → Scorecard; the figures that are told in one line; files of `out`."""

    measure: Callable[..., Scorecard]
    headline: tuple[str, ...]
    outputs: tuple[str, ...] = ("scorecard.json", SAMPLES)


EVALUATIONS: dict[str, Evaluation] = {
    "recognition": Evaluation(measure, ("cer", "exact_match")),
    "detection": Evaluation(measure_detector, ("map50", "map", "precision", "recall"), ("scorecard.json", PAGES)),
    "segmentation": Evaluation(measure_segmenter, ("map50", "mask_map50", "map", "mask_map"), ("scorecard.json", FOUND, DRAWN)),
    "super_resolution": Evaluation(
        measure_restorer,
        ("bicubic_word_acc", "word_acc", "hr_word_acc", "as_is_word_acc", "psnr"),
        ("scorecard.json", SAMPLES, STRIPS),
    ),
}


def evaluation_of(task: str) -> Evaluation:
    """Return how the bundles of a recipe's task are measured."""
    return EVALUATIONS[task]


def told(card: Scorecard, names: tuple[str, ...]) -> str:
    """Return figures with their intervals, as one line of words."""
    return ", ".join(f"{label(name)} {figure_of(card, name)}" for name in names if name in card.figures)


def figure_of(card: Scorecard, name: str) -> str:
    """Return a figure with its interval, in words."""
    figure = card.figures[name]
    interval = f" [{amount(name, figure.low)}, {amount(name, figure.high)}]" if figure.low is not None else ""
    return amount(name, figure.value) + interval
