"""Several frames of one plate, one text: readings vote place by place, each character with its confidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from glyphyard.core.ctc import Reading


def vote(readings: Sequence[Reading]) -> Reading:
    """Return the text that readings of the same plate agree on; nothing read gives an empty one.

    First the length with the most confidence wins, then at each place the character with the most, among readings of that
    length. A place's confidence is the winner's share. Ties go to the shorter text and to the earlier character.
    """
    lengths: dict[int, float] = defaultdict(float)
    for reading in readings:
        lengths[len(reading.text)] += reading.confidence
    if not lengths:
        return Reading("", 0.0, ())
    length = min(lengths, key=lambda n: (-lengths[n], n))
    voters = [reading for reading in readings if len(reading.text) == length]
    text, confidences = "", []
    for place in range(length):
        votes: dict[str, float] = defaultdict(float)
        for reading in voters:
            votes[reading.text[place]] += reading.character_confidences[place]
        winner = min(votes, key=lambda c: (-votes[c], c))
        text += winner
        confidences.append(votes[winner] / max(sum(votes.values()), 1e-12))
    share = lengths[length] / max(sum(lengths.values()), 1e-12)
    product = share
    for confidence in confidences:
        product *= confidence
    return Reading(text, product, tuple(confidences))
