"""CTC prefix beam search (Graves and Jaitly, 2014) that only follows prefixes a layout grammar allows."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from glyphyard.core.alphabet import BLANK, Alphabet
from glyphyard.core.ctc import Reading, greedy_decode
from glyphyard.core.grammar import Grammar

BEAM = 8  # prefixes kept of each length; by length, so that a short one never crowds out the only ones that get to the end
HOPELESS = 12.0  # a class this far (in nats) below the best of its step is followed only where it is the best allowed one
NEVER = -math.inf


def grammar_decode(logits_TNC: np.ndarray, alphabet: Alphabet, grammar: Grammar, beam: int = BEAM) -> list[Reading]:
    """Decode N sequences so that each obeys the grammar; shapes as in `greedy_decode`.

    A greedy reading that obeys it stands as it is; else the best string that does, summed over its alignments. Where the
    sequence is too short for any, the text is empty and its confidence 0.
    """
    logits_TNC = np.asarray(logits_TNC, dtype=np.float32)
    found = []
    for n, reading in enumerate(greedy_decode(logits_TNC, alphabet)):
        obeys = grammar.fits(alphabet.encode(reading.text))
        found.append(reading if obeys else _searched(logits_TNC[:, n], alphabet, grammar, beam))
    return found


def _searched(logits_TC: np.ndarray, alphabet: Alphabet, grammar: Grammar, beam: int) -> Reading:
    logs_TC = logits_TC - logits_TC.max(-1, keepdims=True)
    logs_TC = logs_TC - np.log(np.exp(logs_TC).sum(-1, keepdims=True))
    ids = best_ids(logs_TC, grammar, beam)
    if ids is None:
        return Reading("", 0.0, ())
    confidences = tuple(float(p) for p in np.exp(aligned_peaks(logs_TC, ids)))
    return Reading(alphabet.decode(ids), float(np.prod(confidences)), confidences)


def best_ids(logs_TC: np.ndarray, grammar: Grammar, beam: int = BEAM) -> tuple[int, ...] | None:
    """Return the likeliest class ids that obey the grammar, or None where no string of its lengths fits into T steps.

    `logs_TC` are log-probabilities. Exact as long as no length has more than `beam` prefixes worth keeping.
    """
    # prefix → (log-probability of paths that end in a blank, … in the prefix's last character)
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, NEVER)}
    following: dict[tuple[int, ...], frozenset[int]] = {}
    for logs_C in logs_TC.tolist():
        floor = max(logs_C) - HOPELESS
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [NEVER, NEVER])
        for prefix, (in_blank, in_last) in kept.items():
            whole = _add(in_blank, in_last)
            same = grown[prefix]
            same[0] = _add(same[0], whole + logs_C[BLANK])
            if prefix:
                same[1] = _add(same[1], in_last + logs_C[prefix[-1]])
            allowed = following.get(prefix)
            if allowed is None:
                allowed = following[prefix] = grammar.next_ids(prefix)
            if not allowed:
                continue
            best = max(allowed, key=logs_C.__getitem__)
            for c in allowed:
                if c == best or logs_C[c] > floor:
                    # After the same character only a blank makes room for another one.
                    longer = grown[(*prefix, c)]
                    longer[1] = _add(longer[1], (in_blank if prefix and prefix[-1] == c else whole) + logs_C[c])
        kept = _best_of_each_length(grown, beam)
    whole_ones = {p: _add(*ends) for p, ends in kept.items() if grammar.fits(p) and _add(*ends) > NEVER}
    return max(whole_ones, key=lambda p: (whole_ones[p], p)) if whole_ones else None


def _best_of_each_length(grown: dict[tuple[int, ...], list[float]], beam: int) -> dict[tuple[int, ...], tuple[float, float]]:
    by_length: dict[int, list[tuple[float, tuple[int, ...]]]] = defaultdict(list)
    for prefix, ends in grown.items():
        if (total := _add(*ends)) > NEVER:
            by_length[len(prefix)].append((total, prefix))
    chosen = [prefix for ranked in by_length.values() for _, prefix in sorted(ranked, reverse=True)[:beam]]
    return {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in chosen}


def _add(a: float, b: float) -> float:
    """Return log(exp(a) + exp(b))."""
    low, high = (a, b) if a < b else (b, a)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))


def aligned_peaks(logs_TC: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    """Return each character's highest log-probability among the steps that its best alignment gives it."""
    states = np.full(2 * len(ids) + 1, BLANK)
    states[1::2] = ids
    emitted = logs_TC[:, states]
    # A character may be entered from the one before without a blank, unless both are the same.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full(len(states), NEVER)
    scores[:2] = emitted[0, :2]
    came = np.zeros(emitted.shape, dtype=np.int64)
    for t in range(1, len(emitted)):
        stay, step = scores, np.r_[NEVER, scores[:-1]]
        skip = np.where(skips, np.r_[NEVER, NEVER, scores[:-2]], NEVER)
        ways = np.stack([stay, step, skip])
        came[t] = ways.argmax(0)
        scores = ways.max(0) + emitted[t]
    at = len(states) - 1 if scores[-1] >= scores[-2] else len(states) - 2
    peaks = np.full(len(ids), NEVER)
    for t in range(len(emitted) - 1, -1, -1):
        if at % 2:
            peaks[at // 2] = max(peaks[at // 2], emitted[t, at])
        at -= int(came[t, at])
    return peaks
