"""How a model's output becomes text: one rule a decoding method, by the name that bundle.json gives it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import Reading, best_steps, collapse, greedy_decode

END = 0  # class 0 of an attention reader: the text is over. Where CTC has its blank, so that classes count the same for both.
CTC, ATTENTION = "ctc_greedy", "attention_greedy"
Decode = Callable[[np.ndarray, Alphabet], list[Reading]]
ReadSteps = Callable[[np.ndarray, np.ndarray, Alphabet], list[Reading]]


def attention_decode(logits_TNC: np.ndarray, alphabet: Alphabet) -> list[Reading]:
    """Decode each of N sequences: step t is character t, the first END ends the text.

    `logits_TNC` are logits or log-probabilities, (positions, batch, classes). A character's confidence is its probability;
    the text's is the product of its characters' and of the END's, for a text that is too short is wrong as well. A text
    that never ends is as long as there are positions.
    """
    return until_ends(*best_steps(logits_TNC), alphabet)


def until_ends(ids_TN: np.ndarray, best_TN: np.ndarray, alphabet: Alphabet) -> list[Reading]:
    """Read what `best_steps` gives, as `attention_decode` does."""
    return [_until_end(ids_TN[:, n], best_TN[:, n], alphabet) for n in range(ids_TN.shape[1])]


def _until_end(ids_T: np.ndarray, best_T: np.ndarray, alphabet: Alphabet) -> Reading:
    ends = np.flatnonzero(ids_T == END)
    length = int(ends[0]) if len(ends) else len(ids_T)
    confidences = tuple(float(p) for p in best_T[:length])
    return Reading(alphabet.decode(ids_T[:length]), float(np.prod(best_T[: length + 1])), confidences)


DECODERS: dict[str, Decode] = {CTC: greedy_decode, ATTENTION: attention_decode}
STEP_READERS: dict[str, ReadSteps] = {CTC: collapse, ATTENTION: until_ends}


def decoder_of(method: str) -> Decode:
    """Return the decoder of a method that `DECODERS` names."""
    return DECODERS[method]


def step_reader_of(method: str) -> ReadSteps:
    """Return what reads the best class of each step and its probability, where a model says them itself."""
    return STEP_READERS[method]
