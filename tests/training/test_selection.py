from __future__ import annotations

from typing import Any

import pytest
from learnable import tiny_recipe

from glyphyard.core.errors import BadInput
from glyphyard.recipe.stage import GuardConfig, StageConfig
from glyphyard.training.selection import Standing, check_names, crossed

NAMES = {"loss": "lower", "cer": "lower", "exact_match": "higher"}


def stage(**changes: Any) -> StageConfig:
    return tiny_recipe(stages=[changes]).stages[0]


def judge(stage: StageConfig, values: list[float], losses: list[float] | None = None) -> tuple[Standing, list[bool]]:
    standing = Standing()
    losses = losses or [1.0] * len(values)
    best = [standing.judge(stage, NAMES, {stage.select: v, "loss": x}, n) for n, (v, x) in enumerate(zip(values, losses), 1)]
    return standing, best


def test_lower_is_better_for_errors_and_higher_for_matches() -> None:
    assert judge(stage(select="cer"), [0.5, 0.6, 0.4])[1] == [True, False, True]
    assert judge(stage(select="exact_match"), [0.5, 0.6, 0.4])[1] == [True, True, False]


def test_equal_values_are_told_apart_by_loss() -> None:
    standing, best = judge(stage(), [0.0, 0.0, 0.0], [0.3, 0.2, 0.25])
    assert best == [True, True, False]
    assert standing.best_epoch == 2


def test_nan_is_never_the_best() -> None:
    standing, best = judge(stage(), [float("nan"), 0.9, float("nan")])
    assert best == [False, True, False]
    assert standing.best == {"cer": 0.9, "loss": 1.0}


def test_patience_counts_validations_without_enough_progress() -> None:
    patient = stage(early_stop={"patience_epochs": 2, "min_delta": 0.05})
    assert not judge(patient, [0.5, 0.48])[0].out_of_patience(patient)
    standing, best = judge(patient, [0.5, 0.48, 0.46])
    assert standing.out_of_patience(patient)
    assert best[-1]  # small progress is kept, though it is not worth going on for
    assert not judge(stage(), [0.5] * 20)[0].out_of_patience(stage())


def test_a_plateau_drops_the_rate_after_its_patience() -> None:
    config = stage(schedule={"name": "plateau", "patience_epochs": 1})
    assert [judge(config, [0.5] * n)[0].drops for n in (1, 2, 3, 5)] == [0, 0, 1, 2]


@pytest.mark.parametrize(("bounds", "value", "hit"), [({"min": 0.2}, 0.1, True), ({"min": 0.2}, 0.2, False), ({"max": 0.2}, 0.3, True), ({"max": 0.2}, float("nan"), True)])  # fmt: skip
def test_guards(bounds: dict[str, float], value: float, hit: bool) -> None:
    assert (crossed((GuardConfig(metric="cer", **bounds),), {"cer": value}) is not None) == hit


def test_the_gravest_guard_that_is_crossed_counts_wherever_it_stands() -> None:
    back = GuardConfig(metric="exact_match", min=0.5, action="rollback")
    end = GuardConfig(metric="exact_match", min=0.3, action="stop")
    fail = GuardConfig(metric="exact_match", min=0.1, action="fail")
    for value, action in ((0.4, "rollback"), (0.2, "stop"), (0.05, "fail")):
        found = crossed((back, end, fail), {"exact_match": value}, {"exact_match": 0.6}, NAMES)
        assert found is not None
        assert found[0].action == action


def test_unknown_metrics_are_refused_before_training() -> None:
    with pytest.raises(BadInput, match="psnr"):
        check_names(stage(guards=[{"metric": "psnr", "min": 1.0}]), NAMES)
