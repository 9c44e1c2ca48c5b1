"""Edit distance and alignment against a definition in five lines; sums that add up over shards."""

from __future__ import annotations

import math
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.text_metrics import GAP, TextCounts, align, count_texts, edit_distance

TEXTS = st.text("AB01", max_size=8)


@cache
def levenshtein(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(levenshtein(a[1:], b[1:]) + (a[0] != b[0]), levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1)


@given(TEXTS, TEXTS)
def test_the_distance_is_levenshteins(truth: str, read: str) -> None:
    assert edit_distance(truth, read) == levenshtein(truth, read) == edit_distance(read, truth)


@given(TEXTS, TEXTS)
def test_an_alignment_spells_both_texts_and_costs_the_distance(truth: str, read: str) -> None:
    pairs = align(truth, read)
    assert "".join(a for a, _ in pairs) == truth
    assert "".join(b for _, b in pairs) == read
    assert sum(a != b for a, b in pairs) == edit_distance(truth, read)
    assert (GAP, GAP) not in pairs


def test_ties_go_to_substitution() -> None:
    assert align("AB", "CD") == [("A", "C"), ("B", "D")]
    assert align("A", "") == [("A", GAP)]
    assert align("", "A") == [(GAP, "A")]


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12), st.integers(0, 12))
def test_counts_of_shards_add_up_to_the_counts_of_all(pairs: list[tuple[str, str]], cut: int) -> None:
    whole = count_texts(pairs)
    assert count_texts(pairs[:cut]) + count_texts(pairs[cut:]) == whole
    assert whole.edits == sum(edit_distance(a, b) for a, b in pairs)
    assert whole.exact == sum(a == b for a, b in pairs)
    assert whole.same_length == sum(len(a) == len(b) for a, b in pairs)
    assert sum(count for (truth, _), count in whole.confusion.items() if truth) == whole.characters
    assert sum(count for (truth, read), count in whole.confusion.items() if truth != read) == whole.edits


def test_rates_are_micro_averages() -> None:
    counts = count_texts([("AAAAAAAA", "AAAAAAAA"), ("B", "")])
    assert counts.cer == 1 / 9  # not the mean of 0 and 1
    assert counts.exact_match == counts.length_accuracy == 1 / 2
    assert count_texts([("A", "BCD")]).cer == 3  # more can be wrong than there is


def test_without_samples_there_is_no_rate() -> None:
    nothing = TextCounts()
    assert all(math.isnan(rate) for rate in (nothing.cer, nothing.exact_match, nothing.length_accuracy))
    assert math.isnan(count_texts([("", "A")]).cer)
