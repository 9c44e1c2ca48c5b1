"""CTC prefix beam search with a character n-gram (Graves and Jaitly, 2014; Hannun et al., 2014)."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from glyphyard.core.alphabet import BLANK, Alphabet
from glyphyard.core.beam import NEVER, aligned_peaks
from glyphyard.core.ctc import Reading
from glyphyard.core.ngram import Ngram
from glyphyard.core.records import Record

HOPELESS = 7.0  # a class this far (in nats) below the best of its step is not followed: no n-gram brings it back
Prefix = tuple[int, ...]


@dataclass(frozen=True)
class BeamSpec(Record):
    """Prefixes kept at each step, the n-gram's share in the score, and what each character adds to it (in nats).

    Without the bonus an n-gram prefers short texts: every character costs.
    """

    width: int = 8
    weight: float = 0.4
    bonus: float = 0.5


def ngram_decode(logits_TNC: np.ndarray, alphabet: Alphabet, ngram: Ngram, spec: BeamSpec) -> list[Reading]:
    """Decode N sequences (shapes as in `ctc.greedy_decode`) to the texts that network and n-gram together like best.

    Confidences are the network's own, of the characters read, so that they mean what greedy ones do.
    """
    logits_TNC = np.asarray(logits_TNC, dtype=np.float32)
    logs_TNC = logits_TNC - logits_TNC.max(-1, keepdims=True)
    logs_TNC = logs_TNC - np.log(np.exp(logs_TNC).sum(-1, keepdims=True))
    return [_read(logs_TNC[:, n], alphabet, ngram, spec) for n in range(logs_TNC.shape[1])]


def _read(logs_TC: np.ndarray, alphabet: Alphabet, ngram: Ngram, spec: BeamSpec) -> Reading:
    ids = best_ids(logs_TC, alphabet, ngram, spec)
    if not ids:
        return Reading("", float(np.exp(logs_TC[:, BLANK].mean())), ())
    confidences = tuple(float(p) for p in np.exp(aligned_peaks(logs_TC, ids)))
    return Reading(alphabet.decode(ids), float(np.prod(confidences)), confidences)


def best_ids(logs_TC: np.ndarray, alphabet: Alphabet, ngram: Ngram, spec: BeamSpec) -> Prefix:
    """Return the class ids with the best log P(network) + weight · log P(n-gram) + bonus · length, END included."""
    kept: dict[Prefix, tuple[float, float]] = {(): (0.0, NEVER)}  # paths that end in a blank, … in the last character
    liked: dict[Prefix, float] = {(): 0.0}  # what the n-gram and the bonus add
    following: dict[Prefix, list[float]] = {}

    def next_scores(prefix: Prefix) -> list[float]:
        scores = following.get(prefix)
        if scores is None:
            scores = following[prefix] = ngram.log_probabilities(alphabet.decode(prefix)).tolist()
        return scores

    for logs_C in logs_TC.tolist():
        floor = max(logs_C) - HOPELESS
        candidates = [c for c, log in enumerate(logs_C) if c != BLANK and log > floor]
        grown: dict[Prefix, list[float]] = defaultdict(lambda: [NEVER, NEVER])
        for prefix, (in_blank, in_last) in kept.items():
            whole = _add(in_blank, in_last)
            same = grown[prefix]
            same[0] = _add(same[0], whole + logs_C[BLANK])
            if prefix:
                same[1] = _add(same[1], in_last + logs_C[prefix[-1]])
            for c in candidates:
                longer = (*prefix, c)
                # After the same character only a blank makes room for another one.
                before = in_blank if prefix and prefix[-1] == c else whole
                if before == NEVER:
                    continue
                ends = grown[longer]
                ends[1] = _add(ends[1], before + logs_C[c])
                if longer not in liked:
                    liked[longer] = liked[prefix] + spec.weight * next_scores(prefix)[c] + spec.bonus
        ranked = sorted(grown, key=lambda p: (_add(*grown[p]) + liked[p], p), reverse=True)[: spec.width]
        kept = {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in ranked}
    return max(kept, key=lambda p: (_add(*kept[p]) + liked[p] + spec.weight * next_scores(p)[0], p))


def _add(a: float, b: float) -> float:
    """Return log(exp(a) + exp(b))."""
    low, high = (a, b) if a < b else (b, a)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))
