"""Many pairs at once are the same arithmetic as one after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.text_metrics import TextCounts, edit_distance
from glyphyard.evaluation.pairs import count_pairs

TEXT = st.text("AB0Oäß", max_size=9)
NEAR = TEXT.flatmap(lambda text: st.tuples(st.just(text), st.one_of(st.just(text), TEXT, st.just(text[1:]), st.just(text[::-1]))))


@given(st.lists(NEAR, max_size=20))
def test_the_quick_counts_are_the_plain_ones(pairs: list[tuple[str, str]]) -> None:
    plain = TextCounts()
    one_by_one = [plain.add(truth, read) for truth, read in pairs]
    edits, confusion = count_pairs([truth for truth, _ in pairs], [read for _, read in pairs])
    assert edits.tolist() == one_by_one == [edit_distance(truth, read) for truth, read in pairs]
    assert confusion == plain.confusion


def test_nothing_to_compare_gives_nothing() -> None:
    edits, confusion = count_pairs([], [])
    assert edits.dtype == np.int64
    assert not len(edits)
    assert not confusion
