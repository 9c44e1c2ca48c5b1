"""Text metrics as sums and counts, divided once at the end; no mean of means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

GAP = ""  # stands for the missing side of an insertion or a deletion in an alignment


def align(truth: str, read: str) -> list[tuple[str, str]]:
    """Return a cheapest alignment (Levenshtein, 1965) as pairs (true character, read character); GAP marks a missing one.

    Ties are broken towards substitution, then deletion, so the result is deterministic.
    """
    cost = _cost_table(truth, read)
    pairs, i, j = [], len(truth), len(read)
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + (truth[i - 1] != read[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((truth[i], read[j]))
        elif i and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            pairs.append((truth[i], GAP))
        else:
            j -= 1
            pairs.append((GAP, read[j]))
    return pairs[::-1]


def _cost_table(truth: str, read: str) -> list[list[int]]:
    # Plain lists: element access in a numpy array costs ten times as much, and plates are short.
    cost = [list(range(len(read) + 1))]
    for i, a in enumerate(truth, 1):
        above, row = cost[-1], [i]
        for j, b in enumerate(read, 1):
            row.append(min(above[j - 1] + (a != b), above[j] + 1, row[j - 1] + 1))
        cost.append(row)
    return cost


def edit_distance(truth: str, read: str) -> int:
    """Return the Levenshtein distance: the least number of insertions, deletions and substitutions."""
    if truth == read:
        return 0
    row = list(range(len(read) + 1))
    for i, a in enumerate(truth, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(read, 1):
            diagonal, row[j] = row[j], min(diagonal + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


@dataclass
class TextCounts:
    """Running sums over (truth, reading) pairs; add them up over shards and ranks, then ask for the rates."""

    samples: int = 0
    exact: int = 0
    same_length: int = 0
    edits: int = 0
    characters: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, truth: str, read: str) -> int:
        """Count one pair and return its edit distance."""
        pairs = [(a, b) for a, b in zip(truth, read, strict=True)] if truth == read else align(truth, read)
        edits = sum(a != b for a, b in pairs)
        self.samples += 1
        self.exact += truth == read
        self.same_length += len(truth) == len(read)
        self.edits += edits
        self.characters += len(truth)
        self.confusion.update(pairs)
        return edits

    def __add__(self, other: TextCounts) -> TextCounts:
        return TextCounts(
            self.samples + other.samples,
            self.exact + other.exact,
            self.same_length + other.same_length,
            self.edits + other.edits,
            self.characters + other.characters,
            self.confusion + other.confusion,
        )

    @property
    def cer(self) -> float:
        """Micro CER: all edits ÷ all true characters (may exceed 1); NaN without characters."""
        return self.edits / self.characters if self.characters else float("nan")

    @property
    def exact_match(self) -> float:
        """Share of samples read without an error; NaN without samples."""
        return self.exact / self.samples if self.samples else float("nan")

    @property
    def length_accuracy(self) -> float:
        """Share of readings with as many characters as the truth; NaN without samples."""
        return self.same_length / self.samples if self.samples else float("nan")


def count_texts(pairs: Iterable[tuple[str, str]]) -> TextCounts:
    """Count all (truth, reading) pairs."""
    counts = TextCounts()
    for truth, read in pairs:
        counts.add(truth, read)
    return counts
