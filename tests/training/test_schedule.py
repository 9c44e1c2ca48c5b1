from __future__ import annotations

import pytest

from glyphyard.recipe.stage import LossTerm, ScheduleConfig
from glyphyard.training.schedule import lr_factor

TOTAL, PER_EPOCH = 100, 10


def factors(**config: object) -> list[float]:
    return [lr_factor(ScheduleConfig(**config), step, TOTAL, PER_EPOCH) for step in range(TOTAL)]


@pytest.mark.parametrize("name", ["onecycle", "cosine", "step", "plateau", "constant"])
def test_the_rate_rises_to_its_peak_and_never_exceeds_it(name: str) -> None:
    rates = factors(name=name, warmup=0.2)
    assert rates[:20] == sorted(rates[:20])
    assert rates[19] == pytest.approx(1)
    assert rates[0] < 0.1
    assert min(rates) > 0
    assert max(rates) == pytest.approx(1)


@pytest.mark.parametrize("name", ["onecycle", "cosine"])
def test_cosines_end_at_the_final_factor(name: str) -> None:
    rates = factors(name=name, warmup=0.1, final_factor=0.02)
    assert rates[-1] == pytest.approx(0.02)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_step_drops_every_so_many_epochs() -> None:
    rates = factors(name="step", warmup=0.0, step_epochs=4, factor=0.1)
    assert (rates[39], rates[40], rates[80]) == pytest.approx((1, 0.1, 0.01))


def test_plateau_drops_when_told_and_not_below_its_end() -> None:
    config = ScheduleConfig(name="plateau", warmup=0.0, factor=0.5, final_factor=0.1)
    assert [lr_factor(config, 50, TOTAL, PER_EPOCH, drops) for drops in (0, 1, 2, 9)] == pytest.approx([1, 0.5, 0.25, 0.1])


def test_constant_without_warm_up_is_one() -> None:
    assert set(factors(name="constant", warmup=0.0)) == {1.0}


def test_a_fading_loss_term_is_gone_when_its_share_is_over() -> None:
    term = LossTerm(weight=2.0, fade=0.5)
    assert [term.weight_at(done) for done in (0.0, 0.25, 0.5, 0.9)] == pytest.approx([2.0, 1.0, 0.0, 0.0])
    assert LossTerm(weight=2.0).weight_at(0.9) == 2.0
