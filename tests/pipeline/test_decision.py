"""A winner only beyond the noise of seeds; and where the wall clock went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.pipeline.clock import CONFIRM, SEARCH, Clock, told
from glyphyard.pipeline.decision import NOISE, NONE, WINNER, Decision, contender, decide
from glyphyard.recipe.sweep import ConfirmConfig, ObjectiveConfig

CER = ObjectiveConfig(metric="cer", direction="minimize")
EXACT = ObjectiveConfig(metric="exact_match", direction="maximize")


def seeds(*scores: float) -> dict[int, float]:
    return dict(enumerate(scores, 8))


def judged(base: dict[int, float], *others: dict[int, float], objective: ObjectiveConfig = CER) -> Decision:
    made = [contender(f"t{i:04d}", {"model.dropout": i / 10}, scores) for i, scores in enumerate(others)]
    return decide(objective, ConfirmConfig(), contender("base", {}, base), made, resolution=0.01)


def test_a_clear_gain_wins_and_the_best_of_two_is_named() -> None:
    found = judged(seeds(0.30, 0.31, 0.29), seeds(0.20, 0.21, 0.19), seeds(0.10, 0.11, 0.09))
    assert (found.outcome, found.winner) == (WINNER, "t0001")
    assert all(c.beats_base for c in found.candidates)
    assert found.noise is not None
    assert abs(found.noise - 0.01) < 1e-9


def test_a_gain_within_the_noise_does_not_win() -> None:
    found = judged(seeds(0.30, 0.20, 0.25), seeds(0.22, 0.27, 0.18))
    assert (found.outcome, found.winner) == (NOISE, None)
    assert "inside the noise" in found.message


def test_direction_decides_what_is_better() -> None:
    low, high = seeds(0.10, 0.11, 0.12), seeds(0.80, 0.81, 0.82)
    assert judged(low, high, objective=EXACT).outcome == WINNER
    assert judged(low, high, objective=CER).outcome == NOISE
    assert judged(high, low, objective=EXACT).outcome == NOISE


def test_seeds_that_do_not_differ_are_held_against_one_crop() -> None:
    assert judged(seeds(0.5, 0.5, 0.5), seeds(0.495, 0.495, 0.495)).outcome == NOISE
    assert judged(seeds(0.5, 0.5, 0.5), seeds(0.4, 0.4, 0.4)).outcome == WINNER


def test_without_two_seeds_nothing_is_decided() -> None:
    assert judged(seeds(0.5), seeds(0.1, 0.1, 0.1)).winner is None
    assert judged(seeds(0.5, 0.4, 0.5), seeds(0.1)).outcome == NONE
    assert judged(seeds(0.5, 0.4, 0.5)).outcome == NONE


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_what_is_worse_on_average_never_wins(base: list[float], other: list[float]) -> None:
    found = judged(seeds(*base), seeds(*other))
    if found.outcome == WINNER:
        assert sum(other) < sum(base)


def test_luck_seldom_wins() -> None:
    dice = np.random.default_rng(3)
    draws = dice.normal(0.3, 0.02, (60, 4, 3))  # a base and three candidates that are all the same
    wins = sum(judged(*(seeds(*map(float, scores)) for scores in draw)).outcome == WINNER for draw in draws)
    assert wins / len(draws) < 0.13, "5 % are promised for all candidates together"


def test_the_clock_accounts_for_every_second(tmp_path: Path) -> None:
    clock = Clock(tmp_path)
    clock.slots = 2
    clock.phases = [
        {"name": "starting Ray", "from": 0.0, "to": 10.0},
        {"name": SEARCH, "from": 10.0, "to": 70.0},
        {"name": CONFIRM, "from": 70.0, "to": 90.0},
        {"name": "report", "from": 90.0, "to": 100.0},
    ]
    for span in ((20.0, 40.0), (25.0, 50.0), (60.0, 70.0), (70.0, 90.0)):
        clock.train(*span)
    found = clock.account()
    assert found["wall_s"] == 100
    assert found["training_s"] == 60, "two trials at a time count once"
    assert found["trial_s"] == 75
    assert found["training_share"] == 0.6
    assert found["slots_busy_share"] == round(75 / 160, 4)
    assert found["rest_s"] == {
        "starting Ray": 10,
        "starting trial processes": 10,
        "between epochs and trials": 10,
        "report": 10,
    }
    assert "60%" in told(found)


def test_a_killed_session_keeps_its_clock(tmp_path: Path) -> None:
    first = Clock(tmp_path, started=1000.0)
    first.begin(SEARCH)
    spent = first.spent_s(SEARCH)
    assert spent > 0, "the first phase begins when the command did"
    again = Clock(tmp_path)
    assert again.spent_s(SEARCH) == spent
    again.beat(force=True)
    assert again.spent_s(SEARCH) == spent, "the time between two sessions is nobody's"
