"""CTC: greedy decoding with confidences (Graves et al., 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from glyphyard.core.alphabet import BLANK, Alphabet


@dataclass(frozen=True)
class Reading:
    """A text with its confidence (product of the characters') and each character's own, all in [0, 1]."""

    text: str
    confidence: float
    character_confidences: tuple[float, ...]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities over the last axis; log-probabilities are fine as input, too."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def greedy_decode(logits_TNC: np.ndarray, alphabet: Alphabet) -> list[Reading]:
    """Decode each of N sequences: best class per step, repeats collapsed, blanks dropped.

    `logits_TNC` are logits or log-probabilities, (time, batch, classes) as the exported model gives them.
    A character's confidence is the highest probability within its run of steps; an empty text's confidence is the
    geometric mean of its blanks, so that "nothing here" can be sure or unsure as well.
    """
    logits_TNC = np.asarray(logits_TNC, dtype=np.float32)
    ids_TN = logits_TNC.argmax(-1)
    # The best class's softmax alone: e⁰ over the sum, which spares a device dividing the other classes.
    best_TN = 1 / np.exp(logits_TNC - logits_TNC.max(-1, keepdims=True)).sum(-1)
    return [_collapse(ids_TN[:, n], best_TN[:, n], alphabet) for n in range(ids_TN.shape[1])]


def _collapse(ids_T: np.ndarray, best_T: np.ndarray, alphabet: Alphabet) -> Reading:
    # Plain numbers: a plate has so few steps that NumPy's calls cost more than they save, and other threads wait for them.
    text: list[int] = []
    peaks: list[float] = []
    before = BLANK
    for step, best in zip(ids_T.tolist(), best_T.tolist(), strict=True):
        if step == before != BLANK:
            peaks[-1] = max(peaks[-1], best)
        elif step != BLANK:
            text.append(step)
            peaks.append(best)
        before = step
    if not text:
        return Reading("", float(np.exp(np.log(np.maximum(best_T, 1e-9)).mean())), ())
    return Reading(alphabet.decode(text), prod(peaks), tuple(peaks))
