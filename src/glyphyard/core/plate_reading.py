"""From characters that were found on a plate to its text."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from glyphyard.core.boxes import Detections, suppress
from glyphyard.core.ctc import Reading
from glyphyard.core.reading_order import plate_rows

SAME_PLACE = 0.5  # overlap of two characters that cannot both stand there


def sure_ones(found: Detections, confidence: float) -> Detections:
    """Return what was found with at least this confidence; of two characters in one place the surer, whatever they are."""
    kept = found.take(found.scores >= confidence)
    return kept.take(suppress(kept.boxes, kept.scores, SAME_PLACE))


def read_plate(found: Detections, classes: Sequence[str], confidence: float) -> Reading:
    """Return the text of a plate, row after row and left to right; class number k reads `classes[k]`.

    A plate on which nobody stands is as sure as its surest character that was not believed is unsure.
    """
    kept = sure_ones(found, confidence)
    if not len(kept):
        return Reading("", 1.0 - float(np.max(found.scores, initial=0.0)), ())
    order = [i for row in plate_rows(kept.boxes) for i in row]
    scores = tuple(float(kept.scores[i]) for i in order)
    return Reading("".join(classes[int(kept.classes[i])] for i in order), prod(scores), scores)
