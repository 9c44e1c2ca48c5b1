"""Intervals against scipy and statsmodels, and where those have nothing to say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap
from statsmodels.stats.proportion import proportion_confint

from glyphyard.evaluation.intervals import (
    MIN_GROUPS,
    GroupSums,
    bootstrap_groups,
    error_rate_interval,
    ratio_bootstrap,
)
from glyphyard.evaluation.wilson import samples_needed, wilson, z_of

CONFIDENCES = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), CONFIDENCES)
def test_wilson_is_statsmodels_wilson(counts: tuple[int, int], confidence: float) -> None:
    found, count = counts
    assert wilson(found, count, confidence) == pytest.approx(proportion_confint(found, count, 1 - confidence, "wilson"), abs=1e-9)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), CONFIDENCES)
def test_wilson_holds_the_rate_and_stays_within_0_and_1(counts: tuple[int, int], confidence: float) -> None:
    found, count = counts
    low, high = wilson(found, count, confidence)
    assert 0 <= low <= found / count <= high <= 1
    assert low < high


def test_the_gate_arithmetic_of_the_definitions() -> None:
    assert wilson(8, 9, 0.95) == pytest.approx((0.565, 0.980), abs=1e-3)
    assert wilson(90, 100, 0.95) == pytest.approx((0.826, 0.945), abs=1e-3)
    assert 190 <= (samples_needed(0.90, 0.85, 0.95) or 0) <= 200
    assert 40 <= (samples_needed(0.95, 0.85, 0.95) or 0) <= 52


@given(st.floats(0, 1), st.floats(0.05, 0.95), CONFIDENCES)
def test_samples_needed_is_the_first_count_that_settles_it(rate: float, bound: float, confidence: float) -> None:
    if abs(rate - bound) < 1e-3:
        return
    needed = samples_needed(rate, bound, confidence)
    assert needed is not None

    def clears(count: int) -> bool:
        low, high = wilson(rate * count, count, confidence)
        return low > bound if rate > bound else high < bound

    assert clears(needed)
    assert needed == 1 or not clears(needed - 1)
    assert clears(needed * 3)


@pytest.mark.parametrize(("rate", "bound"), [(0.85, 0.85), (1.0, 1.0), (0.5, 1.5)])
def test_no_count_settles_what_is_not_beyond_the_bound(rate: float, bound: float) -> None:
    assert samples_needed(rate, bound, 0.95) is None


def random_sums(seed: int, groups: int, error_share: float) -> GroupSums:
    dice = np.random.default_rng(seed)
    samples = dice.integers(1, 4, groups)
    characters = samples * dice.integers(5, 9, groups)
    edits = np.where(dice.random(groups) < error_share, dice.integers(1, 4, groups), 0)
    return GroupSums(edits, characters, samples)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(40, 300), st.sampled_from([0.1, 0.2, 0.4, 0.8]), st.sampled_from([0.9, 0.95]))
def test_the_bootstrap_is_scipys_bca_but_for_the_dice(seed: int, groups: int, error_share: float, confidence: float) -> None:
    sums = random_sums(seed, groups, error_share)
    if not sums.edits.any():
        return
    theirs = scipy_bootstrap(
        (sums.edits, sums.characters),
        lambda edits, characters, axis: edits.sum(axis=axis) / characters.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=6000,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = ratio_bootstrap(sums, confidence, 6000, 2)
    assert ours is not None
    # Two sets of 6,000 resamples disagree about a quantile by a few per cent of the interval's width.
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.12 * (theirs.high - theirs.low))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(MIN_GROUPS, 120), st.sampled_from([0.0, 0.05, 0.3, 1.0]))
def test_the_interval_holds_the_rate_and_does_not_depend_on_the_order(seed: int, groups: int, error_share: float) -> None:
    sums = random_sums(seed, groups, error_share)
    interval = error_rate_interval(sums, 0.95, 500, 0)
    assert interval is not None
    assert interval[0] <= sums.edits.sum() / sums.characters.sum() <= interval[1]
    assert interval[1] > 0
    shuffled = np.random.default_rng(seed).permutation(groups)
    again = GroupSums(sums.edits[shuffled], sums.characters[shuffled], sums.samples[shuffled])
    assert error_rate_interval(again, 0.95, 500, 0) == interval


def test_more_groups_give_a_narrower_interval() -> None:
    few, many = random_sums(1, 50, 0.2), random_sums(1, 2000, 0.2)
    width_few, width_many = (np.ptp(error_rate_interval(sums, 0.95, 1000, 0) or (0, 0)) for sums in (few, many))
    assert width_many < width_few / 3


def test_rows_of_one_group_count_once() -> None:
    # 200 crops of 20 plates, each plate read ten times alike: hardly more is known than from 20 crops.
    edits = np.array([10, 0, 0, 0] * 5)
    grouped = GroupSums(edits, np.full(20, 70), np.full(20, 10))
    alone = GroupSums(np.repeat(edits // 10, 10), np.full(200, 7), np.ones(200))
    wide, narrow = error_rate_interval(grouped, 0.95, 2000, 0), error_rate_interval(alone, 0.95, 2000, 0)
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_no_error_at_all_is_not_certainty_and_one_error_is_no_better() -> None:
    none = GroupSums(np.zeros(60, int), np.full(60, 7), np.ones(60))
    one = GroupSums(np.array([1, *[0] * 59]), np.full(60, 7), np.ones(60))
    perfect, nearly = error_rate_interval(none, 0.95, 2000, 0), error_rate_interval(one, 0.95, 2000, 0)
    assert perfect is not None
    assert nearly is not None
    assert perfect[0] == 0
    assert 0 < perfect[1] <= nearly[1]


@pytest.mark.parametrize(
    "sums",
    [
        GroupSums(np.zeros(0), np.zeros(0), np.zeros(0)),
        GroupSums(np.array([1]), np.array([7]), np.array([1])),
        GroupSums(np.ones(MIN_GROUPS - 1), np.full(MIN_GROUPS - 1, 7), np.ones(MIN_GROUPS - 1)),
        GroupSums(np.ones(40), np.zeros(40), np.ones(40)),
    ],
    ids=["no group", "one group", "too few groups", "no characters"],
)
def test_where_nothing_can_be_said_there_is_no_interval(sums: GroupSums) -> None:
    assert error_rate_interval(sums, 0.95, 200, 0) is None


def test_the_quantile_of_the_normal() -> None:
    assert z_of(0.95) == pytest.approx(1.959964, abs=1e-6)


def test_a_million_groups_fit_into_memory() -> None:
    assert error_rate_interval(random_sums(0, 1_000_000, 0.1), 0.95, 2000, 0) is not None


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.integers(30, 120))
def test_the_bootstrap_of_any_figure_is_scipys_bca_where_groups_are_single(seed: int, rows: int) -> None:
    values = np.random.default_rng(seed).gamma(2.0, size=rows)
    ours = bootstrap_groups(lambda at: float(values[at].mean()), np.arange(rows), 0.95, 3000, 1)
    theirs = scipy_bootstrap((values,), np.mean, n_resamples=6000, method="BCa", rng=np.random.default_rng(2)).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.12 * (theirs.high - theirs.low))


def test_the_bootstrap_of_any_figure_agrees_with_that_of_sums_where_there_are_sums() -> None:
    dice = np.random.default_rng(7)
    group = np.repeat([f"track{i:02d}" for i in range(40)], 3)
    edits, characters = np.where(dice.random(120) < 0.3, 2, 0), dice.integers(5, 9, 120)
    _, number = np.unique(group, return_inverse=True)
    sums = GroupSums(*(np.bincount(number, weights=w).astype(int) for w in (edits, characters, np.ones(120))))
    general = bootstrap_groups(lambda at: float(edits[at].sum() / characters[at].sum()), group, 0.95, 4000, 0)
    special = ratio_bootstrap(sums, 0.95, 4000, 0)
    assert special is not None
    assert general == pytest.approx(special, abs=0.1 * (special[1] - special[0]))


def test_a_figure_without_a_value_has_no_interval() -> None:
    assert bootstrap_groups(lambda at: float("nan"), np.arange(50)) is None
    assert bootstrap_groups(lambda at: 1.0, np.zeros(50)) is None
    assert bootstrap_groups(lambda at: 1.0, np.array([])) is None
    defined = bootstrap_groups(
        lambda at: float(len(at)) if len(set(at.tolist())) > 12 else float("nan"), np.arange(20), repeats=300
    )
    assert defined == (20.0, 20.0)
