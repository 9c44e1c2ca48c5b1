"""Paired tests against statsmodels and scipy, and by simulation where those have nothing for groups."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from glyphyard.evaluation.paired import error_rate_difference, exact_match_difference, holm, mcnemar_exact, sign_flip_p

COUNTS = st.integers(0, 400)


@given(COUNTS, COUNTS, st.integers(0, 50))
def test_mcnemar_is_statsmodels_exact_mcnemar(won: int, lost: int, both: int) -> None:
    theirs = mcnemar([[both, lost], [won, 7]], exact=True).pvalue
    assert mcnemar_exact(won, lost) == pytest.approx(theirs if won + lost else 1.0, abs=1e-12)
    assert sign_flip_p(np.array([1] * won + [-1] * lost + [0] * both)) == pytest.approx(mcnemar_exact(won, lost), abs=1e-12)


@settings(max_examples=60)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_sign_flip_test_counts_all_signs(net: list[int]) -> None:
    sums = [abs(sum(sign * n for sign, n in zip(signs, net))) for signs in product((1, -1), repeat=len(net))]
    assert sign_flip_p(np.array(net)) == pytest.approx(np.mean([total >= abs(sum(net)) for total in sums]), abs=1e-12)


def test_it_is_scipys_permutation_test_of_paired_samples() -> None:
    net = np.array([3, -1, 2, 2, -2, 1, 1, 4, -1, 2])
    theirs = permutation_test(
        (net, np.zeros(10)), lambda a, b, axis: (a - b).sum(axis=axis), permutation_type="samples", n_resamples=5000
    )
    assert sign_flip_p(net) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_large_sums_follow_the_normal_without_a_jump() -> None:
    dice = np.random.default_rng(0)
    net = dice.integers(-3, 5, 9000)
    net[net > 3] = 0
    exact = net[:8000]
    assert np.abs(net).sum() < 20_000
    doubled = np.concatenate([exact, exact * -1, exact])  # beyond the limit; the same lead, more noise
    assert np.abs(doubled).sum() > 20_000
    assert 0 <= sign_flip_p(doubled) <= 1
    assert sign_flip_p(doubled) >= sign_flip_p(exact)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=12))
def test_holm_is_statsmodels_holm(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == []


def paired_columns(seed: int, groups: int, worse: float) -> tuple[np.ndarray, ...]:
    dice = np.random.default_rng(seed)
    characters = dice.integers(5, 9, groups)
    before = np.where(dice.random(groups) < 0.2, dice.integers(1, 4, groups), 0)
    after = np.where(dice.random(groups) < worse, dice.integers(1, 4, groups), before)
    return before, after, characters, np.arange(groups)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(60, 250), st.sampled_from([0.1, 0.4]))
def test_the_difference_of_cers_has_scipys_paired_bca_interval(seed: int, groups: int, worse: float) -> None:
    before, after, characters, group = paired_columns(seed, groups, worse)
    ours = error_rate_difference(before, after, characters, group, 0.95, 6000, 3)
    theirs = scipy_bootstrap(
        (after - before, characters), lambda d, c, axis: d.sum(axis=axis) / c.sum(axis=axis), paired=True, vectorized=True,
        n_resamples=6000, method="BCa", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert ours.value == pytest.approx((after.sum() - before.sum()) / characters.sum())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.12 * (theirs.high - theirs.low))


@given(st.integers(0, 200))
def test_swapping_the_models_swaps_the_signs(seed: int) -> None:
    before, after, characters, group = paired_columns(seed, 60, 0.3)
    one = error_rate_difference(before, after, characters, group, 0.95, 300, 0)
    other = error_rate_difference(after, before, characters, group, 0.95, 300, 0)
    assert (one.value, one.p_value, one.won, one.lost) == pytest.approx((-other.value, other.p_value, other.lost, other.won))


def test_crops_of_one_track_count_once() -> None:
    before, after = np.ones(100, bool), np.ones(100, bool)
    after[:10] = False  # ten crops of one track are lost: one accident
    one_track = exact_match_difference(before, after, np.arange(100) // 10, 0.95, 500, 0)
    ten_tracks = exact_match_difference(before, after, np.arange(100), 0.95, 500, 0)
    assert one_track.value == ten_tracks.value == pytest.approx(-0.1)
    assert (one_track.p_value, ten_tracks.p_value) == (1.0, pytest.approx(2**-9))


def test_equal_readings_are_no_difference() -> None:
    same = np.array([True, False] * 20)
    found = exact_match_difference(same, same, np.arange(40), 0.95, 300, 0)
    assert (found.value, found.low, found.high, found.p_value, found.won, found.lost) == (0, 0, 0, 1, 0, 0)


@pytest.mark.parametrize("size", [1, 5])
def test_of_two_equal_models_one_loses_significantly_as_rarely_as_stated(size: int) -> None:
    dice, groups, alarms, repeats = np.random.default_rng(4), 60, 0, 400
    for _ in range(repeats):
        whole_track = np.repeat(dice.random((2, groups)) < 0.8, size, axis=1)  # a track is read or not, as a whole
        found = exact_match_difference(*whole_track, np.repeat(np.arange(groups), size), 0.95, 200, 0)
        alarms += found.p_value < 0.05
    assert alarms / repeats <= 0.07
