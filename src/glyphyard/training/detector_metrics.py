"""The validation of a detector in training: what selects its best epoch, by the same rules as the evaluation's figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from glyphyard.core.boxes import Detections, to_corners
from glyphyard.core.detection_metrics import Truth, average_precision, best_f1, match, pooled
from glyphyard.core.yolo import BoxRule, decode_yolo
from glyphyard.tasks.base import Better

BETTER: dict[str, Better] = {"loss": "lower", "map50": "higher", "map": "higher", "precision": "higher", "recall": "higher"}


@dataclass
class Looked:
    """What stands on pages and what was found there, in pixels of the canvas; `loss` is summed over pages."""

    truths: list[Truth] = field(default_factory=list)
    found: list[Detections] = field(default_factory=list)
    loss: float = 0.0


def look(network: nn.Module, batches: Iterable[dict[str, Any]], classes: int, rule: BoxRule) -> Looked:
    """Look at batches as ultralytics' loader gives them, with its network in evaluation mode."""
    seen = Looked()
    with torch.no_grad():
        for batch in batches:
            output, raw = network(batch["img"])
            terms = network.loss(batch, (output, raw))[1]  # type: ignore[operator]  # ultralytics' own method
            seen.loss += sum(float(value) for value in terms.values()) * len(output)
            seen.found += decode_yolo(output.float().cpu().numpy(), classes, rule)
            seen.truths += _truths(batch, len(output))
    return seen


def _truths(batch: dict[str, Any], count: int) -> list[Truth]:
    height, width = batch["img"].shape[2:]
    boxes = to_corners(batch["bboxes"].cpu().numpy().astype(np.float64)) * [width, height, width, height]
    classes, page = batch["cls"].cpu().numpy().reshape(-1).astype(np.int64), batch["batch_idx"].cpu().numpy()
    return [Truth(boxes[page == i], classes[page == i]) for i in range(count)]


def validation_metrics(truths: Sequence[Truth], found: Sequence[Detections], classes: int, loss: float) -> dict[str, float]:
    """Return the metrics of all validation pages; NaN without objects. Precision and recall are those of the best F1."""
    matches = [match(truths, found, label) for label in range(classes)]
    values = np.stack([average_precision(m) for m in matches])
    known = values[~np.isnan(values[:, 0])]
    mean = known.mean(0) if len(known) else np.full(values.shape[1], np.nan)
    best = best_f1(pooled(matches))
    return {"loss": loss, "map50": float(mean[0]), "map": float(mean.mean()), "precision": best.precision, "recall": best.recall}
