"""Hard mining and the confusion tracker in the loop: all ranks agree, and a killed stage goes on as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from learnable import Stop, same_weights
from restoring import STAGES, prepared, restoring_recipe, untrained
from rich.console import Console
from two_restorers import WORLD, worker

from glyphyard.core.errors import BadInput
from glyphyard.data.resident import load_resident
from glyphyard.pipeline.plan import plan_of
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.steps import execute
from glyphyard.pipeline.store import new_run
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import GuardConfig
from glyphyard.tasks.catalogue import task_of
from glyphyard.tasks.readers.lcofl import LEAST_SHARE
from glyphyard.training.checkpoint import load_state
from glyphyard.training.ingest import ResidentIngest, StreamedIngest, check_mining, open_ingest
from glyphyard.training.job import StageJob
from glyphyard.training.learner import Learner
from glyphyard.training.loop import Loop, train_stage
from glyphyard.training.ranks import SingleRank
from glyphyard.training.selection import crossed
from glyphyard.training.watch import Watch

HARD = [{**STAGES[-1], "epochs": 3, "batch_size": 4}]


def run(folder: Path) -> dict:
    train_stage(StageJob(restoring_recipe(HARD), 0, prepared(), folder / "stage", untrained(folder), 0.0), SingleRank())
    return load_state(folder / "stage" / "last.pt")


def test_a_stage_of_hard_mining_goes_on_after_a_kill_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = run(tmp_path / "whole")
    steps, step = 0, Learner.step

    def dying(self: Learner, *arguments: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 6:  # in the second epoch, whose rows were drawn by difficulty
            raise Stop
        return step(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "step", dying)
        with pytest.raises(Stop):
            run(tmp_path / "killed")
    cut = load_state(tmp_path / "killed" / "stage" / "last.pt")
    assert (cut["position"]["epoch"], cut["position"]["step"] > 0) == (1, True)
    resumed = run(tmp_path / "killed")
    assert same_weights(resumed["parts"], whole["parts"])  # generator, recogniser and the confusion's buffers
    for name in ("ids", "difficulty", "times", "in_use"):
        torch.testing.assert_close(resumed["miner"][name], whole["miner"][name], rtol=0, atol=0, equal_nan=True)
    assert whole["miner"]["times"].sum() > 0
    rows = [json.loads(line) for line in (tmp_path / "killed" / "stage" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {"hard_mining_stats", "hard_share", "train_l1", "train_lcofl", "word_acc", "psnr"} <= set(rows[0])
    weights = restoring_recipe(HARD).model.lcofl  # type: ignore[union-attr]
    for row in rows:  # what LCOFL is made of is told beside it, over an epoch that was cut off, too
        characters = weights.classification * row["train_lcofl_classification"] + weights.layout * row["train_lcofl_layout"]
        share = (row["train_lcofl"] - weights.ssim * row["train_lcofl_ssim"]) / characters
        assert LEAST_SHARE - 1e-6 <= share <= 1 + 1e-6


class OneOfTwo(SingleRank):
    """A rank that hears what the other one says."""

    world = 2

    def __init__(self, rank: int, others_ids: list[int]) -> None:
        super().__init__()
        self.rank, self.others_ids = rank, others_ids

    def gather(self, value: object) -> list:  # type: ignore[override]
        if isinstance(value, int):
            return [value, len(self.others_ids)]
        return [value, self.others_ids] if self.rank == 0 else [self.others_ids, value]


def test_the_miner_knows_the_rows_of_all_ranks() -> None:
    recipe = restoring_recipe(HARD)
    job, task = StageJob(recipe, 0, prepared(), Path("unused")), task_of(recipe)
    shares = [load_resident(prepared(), "train", rank, 2) for rank in range(2)]
    validation = load_resident(prepared(), "validation", 0, 1)
    ingests = [
        ResidentIngest(job, task, OneOfTwo(rank, shares[1 - rank].ids.tolist()), "x", shares[rank], validation)
        for rank in range(2)
    ]
    whole = load_resident(prepared(), "train", 0, 1).ids
    for ingest in ingests:
        assert ingest.miner is not None
        assert torch.equal(ingest.miner.ids_N, whole.sort().values)
        ingest.miner.note(whole, torch.linspace(0, 1, len(whole)))
        ingest.miner.end_epoch(1)
    drawn = [torch.cat([rows.ids for rows in ingest.train(1, 0)]) for ingest in ingests]
    assert all(set(ids.tolist()) <= set(share.ids.tolist()) for ids, share in zip(drawn, shares, strict=True))
    trained = {(rows.epoch, rows.strengths_of) for epoch in (0, 1) for rows in ingests[0].train(epoch, 0)}
    assert trained == {(1, 1), (2, 1)}, "a row stays as badly degraded as when it was surveyed; its noise is another each time"
    assert {(rows.epoch, rows.strengths_of) for rows in ingests[0].survey()} == {(1, 1)}


def test_all_rows_are_read_before_the_first_epoch_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Learner.step
    weights_before: list[torch.Tensor] = []

    def dying(self: Learner, *arguments: object) -> object:
        weights_before.extend(p.clone() for p in self.weights)
        raise Stop

    monkeypatch.setattr(Learner, "step", dying)
    untrained(tmp_path)
    job = StageJob(restoring_recipe(HARD), 0, prepared(), tmp_path / "stage", tmp_path / "best.pt", 0.0)
    loop = Loop(job, SingleRank(), Watch(), open_ingest)
    start = [p.clone() for p in loop.learner.weights]
    networks = {name: loop.learner.parts[name] for name in ("generator", "recogniser")}
    before = {name: {k: v.clone() for k, v in part.state_dict().items()} for name, part in networks.items()}
    monkeypatch.setattr(Loop, "_train_epoch", lambda self: self.learner.step())
    with pytest.raises(Stop):
        loop.run()
    for name, part in networks.items():
        assert same_weights(before[name], part.state_dict()), "statistics of batches count as well"
    monkeypatch.setattr(Learner, "step", step)
    assert loop.miner is not None
    assert loop.miner.times_N.tolist() == [1] * len(loop.miner.ids_N)
    assert loop.miner.in_use_N is not None
    assert all(torch.equal(a, b) for a, b in zip(start, weights_before, strict=True)), "looking teaches nothing"


def test_validation_of_several_draws_is_the_mean_over_other_noise() -> None:
    def learner(draws: int) -> tuple[Learner, ResidentIngest]:
        recipe = restoring_recipe([{**STAGES[1], "validation_draws": draws, "precision": "fp32"}])
        job, ranks = StageJob(recipe, 0, prepared(), Path("unused")), SingleRank()
        made = Learner(job, task_of(recipe), ranks)
        ingest = open_ingest(job, made.task, ranks)
        assert isinstance(ingest, ResidentIngest)
        return made, ingest

    once, first = learner(1)
    thrice, all_three = learner(3)
    rows = list(all_three.validation())
    assert [batch.epoch for batch in rows] == [0, -1, -2]
    low = [once.task.collate(batch, None).low for batch in rows]  # type: ignore[attr-defined]
    assert not any(torch.equal(low[i], low[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    single = []
    for batch in rows:
        first.validation = lambda batch=batch: iter([batch])  # type: ignore[method-assign]
        single.append(once.validate(first))
    together = thrice.validate(all_three)
    for name in ("psnr", "ssim", "loss"):
        assert together[name] == pytest.approx(sum(each[name] for each in single) / 3, rel=1e-5), name
    assert len({each["psnr"] for each in single}) == 3


def streamed(recipe: Recipe) -> Recipe:
    """Return the recipe with room for no row at all."""
    return recipe.model_copy(update={"runtime": recipe.runtime.model_copy(update={"resident_budget_mb": 0})})


def test_hard_mining_asks_for_rows_in_memory() -> None:
    recipe = streamed(restoring_recipe())
    mining = len(recipe.stages) - 1
    with pytest.raises(BadInput, match=r"hard_mining.*resident_budget_mb"):
        open_ingest(StageJob(recipe, mining, prepared(), Path("unused")), task_of(recipe), SingleRank())
    with pytest.raises(BadInput, match=r"hard_mining.*resident_budget_mb"):
        check_mining(recipe, prepared(), recipe.stages)
    check_mining(restoring_recipe(), prepared(), recipe.stages)
    check_mining(recipe, prepared(), recipe.stages[:-1])
    warmup = StreamedIngest(StageJob(recipe, 1, prepared(), Path("unused")), task_of(recipe), SingleRank(), "x")
    assert warmup.miner is None, "another stage's mining is no matter of this one's"


def test_a_run_that_could_not_mine_ends_before_it_trains(tmp_path: Path) -> None:
    store = tmp_path / "store"
    recipe = streamed(restoring_recipe(runtime={"launcher": "in_process"}))
    with pytest.raises(BadInput, match=r"hard_mining.*resident_budget_mb"):
        execute(Run(recipe, new_run(recipe, store), store, Console(quiet=True)))
    assert not list(store.glob("*/stages/*"))
    assert execute(Run(recipe, new_run(recipe, store), store, Console(quiet=True)), until="prepare") is None
    assert any("hard_mining" in line for line in plan_of(recipe, store).warnings)
    assert not any("hard_mining" in line for line in plan_of(restoring_recipe(), store).warnings)


def test_a_guard_may_compare_with_the_stages_best() -> None:
    guard = GuardConfig(metric="word_acc", worse_by=0.05, action="rollback")
    names = {"word_acc": "higher", "cer": "lower"}
    assert crossed((guard,), {"word_acc": 0.70}, {}, names) is None  # nothing to compare with yet
    assert crossed((guard,), {"word_acc": 0.70}, {"word_acc": 0.74}, names) is None
    found = crossed((guard,), {"word_acc": 0.60}, {"word_acc": 0.74}, names)
    assert found is not None
    assert "0.6" in found[1]
    assert "0.74" in found[1]
    floor, other = GuardConfig(metric="word_acc", min=0.9, action="rollback"), GuardConfig(metric="cer", max=0.3, action="fail")
    better, worse = {"word_acc": 0.5, "cer": 0.4}, {"word_acc": 0.4, "cer": 0.4}
    assert crossed((floor, other), better, worse, names) == (other, "cer 0.4 is above 0.3")  # going back would win nothing
    assert crossed((floor, other), worse, better, names)[0] is other  # type: ignore[index]
    assert crossed((floor,), worse, better, names)[0] is floor  # type: ignore[index]
    lower = GuardConfig(metric="cer", worse_by=0.05)
    assert crossed((lower,), {"cer": 0.2}, {"cer": 0.1}, names) is not None
    assert crossed((lower,), {"cer": 0.01}, {"cer": 0.1}, names) is None


def test_a_rollback_goes_back_to_the_stages_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glyphyard.tasks.super_resolution.task import SuperResolution

    script = iter([0.2, 0.8, 0.1, 0.1])  # the first is of what it starts from
    monkeypatch.setattr(
        SuperResolution, "metrics", lambda *_: {"loss": 1.0, "psnr": 20.0, "ssim": 0.5, "word_acc": next(script), "char_acc": 0.9}
    )
    # `remember` asks for metrics as well; what it does is tested elsewhere.
    monkeypatch.setattr(SuperResolution, "remember", lambda *_: None)
    stage = {**STAGES[2], "epochs": 3, "guards": [{"metric": "word_acc", "worse_by": 0.2, "action": "rollback"}]}
    record = train_stage(StageJob(restoring_recipe([stage]), 0, prepared(), tmp_path / "s", untrained(tmp_path)), SingleRank())
    assert (record.epoch, record.metrics["word_acc"]) == (1, 0.8)
    best, last = (load_state(tmp_path / "s" / name)["parts"] for name in ("best.pt", "last.pt"))
    learned = [name for name in best if name.startswith("generator.")]
    assert learned
    assert all(torch.equal(best[name], last[name]) for name in learned), "the last epoch was taken back"
    told = [json.loads(line).get("went_back") for line in (tmp_path / "s" / "metrics.jsonl").read_text().splitlines()]
    assert told[0] is None
    assert all(str(line).startswith("to epoch 1: word_acc 0.1 ") for line in told[1:])


def test_a_floor_that_the_start_is_under_takes_nothing_back_that_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glyphyard.tasks.super_resolution.task import SuperResolution

    script = iter([10.0, 11.0, 9.0, 8.0, 7.0])  # the first is of what it starts from
    monkeypatch.setattr(
        SuperResolution, "metrics", lambda *_: {"loss": 1.0, "psnr": next(script), "ssim": 0.5, "word_acc": 0.5, "char_acc": 0.9}
    )
    monkeypatch.setattr(SuperResolution, "remember", lambda *_: None)
    stage = {
        **STAGES[1], "epochs": 5, "select": "psnr", "early_stop": {"patience_epochs": 2},
        "guards": [{"metric": "psnr", "min": 12.5, "action": "rollback"}],
    }  # fmt: skip
    record = train_stage(StageJob(restoring_recipe([stage]), 0, prepared(), tmp_path / "s", untrained(tmp_path)), SingleRank())
    assert (record.epoch, record.metrics["psnr"]) == (1, 11.0)
    assert record.stopped.startswith("early stop")  # after two epochs that were taken back
    best, last = (load_state(tmp_path / "s" / name)["parts"] for name in ("best.pt", "last.pt"))
    assert all(torch.equal(best[name], last[name]) for name in best if name.startswith("generator."))


@pytest.mark.slow
def test_two_workers_keep_the_same_books_and_know_each_others_rows(tmp_path: Path) -> None:
    untrained(tmp_path)
    mp.spawn(worker, (prepared(), tmp_path), nprocs=WORLD)
    assert len(load_state(tmp_path / "1" / "last.pt")["miner"]["ids"]) == len(load_resident(prepared(), "train", 0, 1))


def test_a_generator_learns_to_take_noise_away(tmp_path: Path) -> None:
    stage = {**STAGES[1], "epochs": 18, "lr": 1e-2}
    record = train_stage(StageJob(restoring_recipe([stage]), 0, prepared(), tmp_path / "s", untrained(tmp_path)), SingleRank())
    lines = [json.loads(line) for line in (tmp_path / "s" / "metrics.jsonl").read_text().splitlines()]
    measured = [row["psnr"] for row in lines if row["psnr"] is not None]
    assert record.metrics["psnr"] == max(measured)
    assert max(measured) > measured[0] + 0.1
    assert lines[-1]["train_l1"] < lines[0]["train_l1"]


def test_mining_starts_in_a_stage_that_goes_on_from_one_without(tmp_path: Path) -> None:
    plain = [{**STAGES[2], "epochs": 1, "batch_size": 4}]
    job = StageJob(restoring_recipe(plain), 0, prepared(), tmp_path / "first", untrained(tmp_path), 0.0)
    train_stage(job, SingleRank())
    last = tmp_path / "first" / "last.pt"
    going_on = [{**HARD[0], "epochs": 2, "start": "resume", "init": str(last)}]
    train_stage(StageJob(restoring_recipe(going_on), 0, prepared(), tmp_path / "second", last, 0.0), SingleRank())
    miner = load_state(tmp_path / "second" / "last.pt")["miner"]
    assert (miner["times"] > 0).all()
