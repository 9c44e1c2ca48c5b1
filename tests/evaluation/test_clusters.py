"""Shares of crops that come in tracks: what is known grows with the tracks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.evaluation.clusters import effective_count, share
from glyphyard.evaluation.wilson import wilson


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_single_crops_have_wilsons_own_interval(hits: list[bool]) -> None:
    figure = share(np.array(hits), np.arange(len(hits)), 0.95)
    assert (figure.low, figure.high) == wilson(sum(hits), len(hits), 0.95)
    assert figure.effective == figure.count == len(hits)


@settings(max_examples=60)
@given(st.integers(0, 999), st.integers(1, 60), st.integers(1, 6), st.floats(0, 1))
def test_the_interval_holds_the_share_and_the_count_its_bounds(seed: int, groups: int, most: int, rate: float) -> None:
    dice = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), dice.integers(1, most + 1, groups))
    hits = dice.random(len(group)) < rate
    figure = share(hits, group, 0.95)
    assert figure.low is not None
    assert figure.high is not None
    assert figure.effective is not None
    assert 0 <= figure.low <= hits.mean() <= figure.high <= 1
    assert 1 <= figure.effective <= len(hits)
    order = dice.permutation(len(hits))
    assert share(hits[order], -group[order], 0.95) == figure


def test_crops_that_agree_within_their_track_are_worth_one_each_track() -> None:
    tracks = np.repeat(np.array([True] * 36 + [False] * 4), 5)
    assert effective_count(tracks, np.repeat(np.arange(40), 5), 0.95) == pytest.approx(38, abs=4)


def test_crops_that_disagree_at_random_are_worth_nearly_all() -> None:
    hits = np.random.default_rng(0).random(2000) < 0.8
    assert effective_count(hits, np.repeat(np.arange(400), 5), 0.95) > 1500


def test_one_error_more_never_makes_the_reader_look_better() -> None:
    group = np.repeat(np.arange(40), 5)
    lows = []
    for errors in range(8):
        hits = np.ones(200, bool)
        hits[: errors * 5 : 5] = False  # each in a track of its own
        lows.append(share(hits, group, 0.95).low)
    assert lows[0] == pytest.approx(wilson(40, 40, 0.95)[0], abs=0.02)  # no error: as if every track were one crop
    assert all(later <= earlier + 0.012 for earlier, later in pairwise(lows))


def test_one_track_is_one_sample() -> None:
    assert effective_count(np.ones(50, bool), np.zeros(50, int), 0.95) == 1
    assert share(np.array([], bool), np.array([], int), 0.95).value is None


@pytest.mark.parametrize(("rate", "within"), [(0.9, 0.0), (0.9, 0.5), (0.8, 1.0)], ids=["independent", "half alike", "alike"])
def test_the_interval_covers_the_truth_as_often_as_stated(rate: float, within: float) -> None:
    dice, groups, size, repeats, held = np.random.default_rng(2), 60, 4, 400, 0
    group = np.repeat(np.arange(groups), size)
    for _ in range(repeats):
        own, common = dice.random(groups * size) < rate, np.repeat(dice.random(groups) < rate, size)
        figure = share(np.where(np.repeat(dice.random(groups) < within, size), common, own), group, 0.95)
        held += figure.low <= rate <= figure.high
    assert held / repeats >= 0.93
