"""CTC: greedy decoding with confidences (Graves et al., 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, prod

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
    return collapse(*best_steps(logits_TNC), alphabet)


def best_steps(logits_TNC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each step's best class and its probability, (time, batch) both, of logits or log-probabilities."""
    logits_TNC = np.asarray(logits_TNC, dtype=np.float32)
    # The best class's softmax alone: e⁰ over the sum, which spares a device dividing the other classes.
    return logits_TNC.argmax(-1), 1 / np.exp(logits_TNC - logits_TNC.max(-1, keepdims=True)).sum(-1)


def collapse(ids_TN: np.ndarray, best_TN: np.ndarray, alphabet: Alphabet) -> list[Reading]:
    """Read what `best_steps` gives, as `greedy_decode` does."""
    # Plain numbers: a plate has so few steps that NumPy's calls cost more than they save, and other threads wait for them.
    return [_collapse(ids, best, alphabet) for ids, best in zip(ids_TN.T.tolist(), best_TN.T.tolist(), strict=True)]


def _collapse(ids_T: list[int], best_T: list[float], alphabet: Alphabet) -> Reading:
    text: list[int] = []
    peaks: list[float] = []
    before = BLANK
    for step, best in zip(ids_T, best_T, strict=True):
        if step == before != BLANK:
            peaks[-1] = max(peaks[-1], best)
        elif step != BLANK:
            text.append(step)
            peaks.append(best)
        before = step
    if not text:
        return Reading("", exp(sum(log(max(best, 1e-9)) for best in best_T) / len(best_T)), ())
    return Reading(alphabet.decode(text), prod(peaks), tuple(peaks))
