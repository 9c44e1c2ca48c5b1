"""Rows are known by their dataset index on all ranks, drawn by difficulty, easy ones first."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.data.hard_examples import CurriculumSampler, HardExampleMiner
from glyphyard.recipe.stage import HardMiningConfig

IDS = torch.tensor([7, 1000, 3, 42, 5])  # as two ranks gave them: neither sorted nor from zero
CONFIG = HardMiningConfig(difficulty_alpha=2.0, reweight_interval=2, memory=0.5, start_share=0.4, full_at=0.5)


def miner() -> HardExampleMiner:
    return HardExampleMiner(IDS, CONFIG)


def test_difficulty_belongs_to_the_dataset_index_not_to_the_place_in_the_batch() -> None:
    m = miner()
    m.note(torch.tensor([1000, 5]), torch.tensor([1.0, 0.0]))
    m.note(torch.tensor([5, 1000]), torch.tensor([0.0, 0.5]))
    known = dict(zip(m.ids_N.tolist(), m.difficulty_N.tolist(), strict=True))
    assert known == {3: 0.0, 5: 0.0, 7: 0.0, 42: 0.0, 1000: 0.75}
    assert m.stats() == {"hard_mining_stats": 0.375, "hard_share": 0.5}


@given(st.permutations([(7, 1.0), (7, 0.0), (3, 0.25)]))
def test_a_row_twice_in_a_step_counts_by_its_mean_in_any_order(rows: list[tuple[int, float]]) -> None:
    m = miner()
    m.note(torch.tensor([i for i, _ in rows]), torch.tensor([d for _, d in rows]))
    assert m.difficulty_N.tolist() == [0.25, 0.0, 0.5, 0.0, 0.0]
    assert m.times_N.tolist() == [1, 0, 1, 0, 0]


def test_every_row_comes_once_until_the_first_look_and_weights_change_only_then() -> None:
    m = miner()
    sampler = CurriculumSampler(m, IDS)
    m.note(IDS, torch.tensor([0.0, 1.0, 0.2, 0.6, 0.4]))
    assert sampler.weights(0.0) is None
    m.end_epoch(1)
    assert sampler.weights(0.0) is None
    m.end_epoch(2)
    before = sampler.weights(1.0)
    m.note(IDS, torch.ones(5))
    m.end_epoch(3)
    assert torch.equal(sampler.weights(1.0), before)  # type: ignore[arg-type]


def test_what_is_first_read_between_two_looks_changes_no_weight_before_the_next() -> None:
    m = HardExampleMiner(IDS, CONFIG.model_copy(update={"most_misread": 0.5}))
    m.note(IDS[:3], torch.tensor([0.9, 1.0, 0.8]))
    m.end_epoch(2)
    sampler = CurriculumSampler(m, IDS)
    before = sampler.weights(1.0)
    m.note(IDS[3:], torch.tensor([0.0, 1.0]))  # an epoch that is cut off here is drawn again as it was
    m.end_epoch(3)
    assert torch.equal(sampler.weights(1.0), before)  # type: ignore[arg-type]
    m.end_epoch(4)
    assert (sampler.weights(1.0) > 0).tolist() == [False, False, False, True, False]  # type: ignore[operator]


def test_rows_in_which_nothing_can_be_seen_never_take_part() -> None:
    m = HardExampleMiner(IDS, CONFIG.model_copy(update={"most_misread": 0.5}))
    m.note(IDS, torch.tensor([0.0, 1.0, 0.2, 0.6, 0.4]))
    m.end_epoch(2)
    weights = CurriculumSampler(m, IDS).weights(1.0)
    assert (weights > 0).tolist() == [True, False, True, False, True]  # type: ignore[operator]
    assert weights.argmax() == 4  # type: ignore[union-attr]


def test_rows_that_nobody_has_read_are_not_hopeless_and_a_source_keeps_its_share() -> None:
    m = HardExampleMiner(IDS, CONFIG.model_copy(update={"most_misread": 0.5}))
    m.note(IDS[:3], torch.tensor([0.9, 1.0, 0.8]))  # their mean is over the bound, too
    m.end_epoch(2)
    weights = CurriculumSampler(m, IDS).weights(1.0)
    assert (weights > 0).tolist() == [False, False, False, True, True]  # type: ignore[operator]
    shared = CurriculumSampler(m, IDS, ["real", "real", "real", "drawn", "drawn"], {"real": 0.4, "drawn": 0.6}).weights(1.0)
    assert float(shared[:3].sum()) == pytest.approx(0.4)  # type: ignore[index]


def test_the_curriculum_goes_from_easy_to_hard() -> None:
    m = miner()
    m.note(IDS, torch.tensor([0.0, 1.0, 0.2, 0.6, 0.4]))
    m.end_epoch(2)
    sampler = CurriculumSampler(m, IDS)
    first, last = sampler.weights(0.0), sampler.weights(0.5)
    assert (first > 0).tolist() == [True, False, True, False, False]  # the easiest 40 %
    assert (last > 0).all()
    assert last.argmax() == 1  # the worst row weighs most
    drawn = sampler.order(10, 40, 1, 0, 0, 0.5)
    assert drawn.shape == (40, 10)
    share = torch.bincount(drawn.flatten(), minlength=5) / 400
    assert torch.allclose(share.double(), last / last.sum(), atol=0.08)
    assert torch.equal(drawn, sampler.order(10, 40, 1, 0, 0, 0.5))
    assert not torch.equal(drawn, sampler.order(10, 40, 1, 1, 0, 0.5))


def test_the_state_survives_a_checkpoint(tmp_path) -> None:
    from glyphyard.training.checkpoint import load_state, save_state

    m = miner()
    m.note(IDS, torch.tensor([0.0, 1.0, 0.2, 0.6, 0.4]))
    m.end_epoch(2)
    save_state({"miner": m.state()}, tmp_path / "x.pt")
    again = HardExampleMiner(IDS.flip(0), CONFIG)
    again.restore(load_state(tmp_path / "x.pt")["miner"])
    a, b = CurriculumSampler(m, IDS), CurriculumSampler(again, IDS)
    assert torch.equal(a.order(4, 9, 1, 2, 0, 0.7), b.order(4, 9, 1, 2, 0, 0.7))


def test_rows_that_nobody_has_read_yet_count_as_average_and_do_not_push_the_hard_ones_out() -> None:
    m = HardExampleMiner(torch.arange(1000), CONFIG)
    m.note(torch.arange(100), torch.linspace(0, 1, 100))  # a tenth of the rows, from easy to hard
    m.end_epoch(2)
    weights = CurriculumSampler(m, torch.arange(1000)).weights(0.5)
    assert (weights > 0).all()
    assert weights[99] == weights.max()
    early = CurriculumSampler(m, torch.arange(1000)).weights(0.0)
    assert (early[:40] > 0).all(), "the easier of the known rows come first, before the unknown ones"
    assert (early[60:100] == 0).all()


def test_sources_keep_their_shares_whatever_is_hard() -> None:
    m = HardExampleMiner(torch.arange(100), CONFIG)
    m.note(torch.arange(100), torch.linspace(0, 1, 100))
    m.end_epoch(2)
    sources = ["real"] * 10 + ["drawn"] * 90  # the real ones are read best here
    sampler = CurriculumSampler(m, torch.arange(100), sources, {"real": 0.5, "drawn": 0.5})
    weights = sampler.weights(1.0)
    assert float(weights[:10].sum()) == pytest.approx(0.5)
    assert float(weights[10:].sum()) == pytest.approx(0.5)
    assert weights[9] > weights[0]
    drawn = sampler.order(50, 20, 1, 0, 0, 1.0)
    assert 0.4 < float((drawn < 10).double().mean()) < 0.6


def test_a_source_of_the_hardest_rows_waits_until_one_of_them_is_let_in() -> None:
    m = HardExampleMiner(torch.arange(100), CONFIG)
    m.note(torch.arange(100), torch.linspace(0, 1, 100))
    m.end_epoch(2)
    sampler = CurriculumSampler(m, torch.arange(100), ["drawn"] * 90 + ["real"] * 10, {"real": 0.5, "drawn": 0.5})
    first, last = sampler.weights(0.0), sampler.weights(1.0)
    assert float(first[90:].sum()) == 0
    assert float(last[90:].sum()) == pytest.approx(0.5)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=40), st.floats(0.0, 1.0))
def test_equally_hard_rows_come_in_together_whatever_their_index(misread: list[float], done: float) -> None:
    ids = torch.arange(len(misread))
    m = HardExampleMiner(ids, CONFIG)
    m.note(ids, torch.tensor(misread))
    m.end_epoch(2)
    weights = CurriculumSampler(m, ids).weights(done)
    assert all(len({float(w) for w, d in zip(weights, misread, strict=True) if d == hard}) == 1 for hard in misread)
    assert int((weights > 0).sum()) >= max(1, round(CONFIG.start_share * len(misread)))


def test_a_source_whose_rows_are_as_hard_as_the_others_keeps_its_share_from_the_start() -> None:
    m = HardExampleMiner(torch.arange(200), CONFIG)
    m.note(torch.arange(200), torch.zeros(200))
    m.end_epoch(2)
    weights = CurriculumSampler(m, torch.arange(200), ["real"] * 100 + ["drawn"] * 100, {"real": 0.5, "drawn": 0.5}).weights(0.0)
    assert float(weights[100:].sum()) == pytest.approx(0.5)  # type: ignore[index]
