"""A sweep from file to decision: what it keeps over a kill, what it records of a failure, and what it never looks at."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from glyphyard.cli.main import main
from glyphyard.cluster.tune import Wait
from glyphyard.core.errors import BadInput, ExitCode, StepFailed
from glyphyard.core.files import read_json, sha256_file
from glyphyard.core.records import CheckpointRecord, Scorecard
from glyphyard.pipeline import sweep as sweeping
from glyphyard.pipeline.clock import SEARCH, Clock
from glyphyard.pipeline.decision import WINNER, Decision
from glyphyard.pipeline.study import SweepStudy
from glyphyard.pipeline.sweep import new_sweep, open_sweep, run_sweep
from glyphyard.pipeline.sweep_live import headline, shown, view
from glyphyard.pipeline.sweep_trials import SweepTrials, told_values
from glyphyard.pipeline.trial import train_trial
from glyphyard.recipe.load import load_recipe
from glyphyard.recipe.sweep_load import load_sweep
from glyphyard.recipe.sweep_with_base import Sweep
from glyphyard.training.job import StageJob

ROOT = Path(__file__).parents[2]
TINY = ROOT / "recipes" / "tiny" / "sweeps" / "florida_crnn.yaml"
FASTER = [
    "recipe.dataset.sources.synthetic.count=90",
    "recipe.stages.main.epochs=2",
    "recipe.register.enabled=false",
    "confirm.seeds=2",
    "asha=null",
]
HERE = ["recipe.runtime.launcher=in_process", *FASTER]


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of three trials in this process; its base recipe stays, whatever the figures."""
    sweep = load_sweep(TINY, [*HERE, "budget.trials=3"])
    folder = new_sweep(sweep, tmp_path_factory.mktemp("store"))
    run_sweep(sweep, folder, quiet())
    return folder


def test_a_sweep_ends_in_a_decision_and_says_where_the_time_went(finished: Path) -> None:
    result, decision = read_json(finished / "result.json"), read_json(finished / "decision.json")
    assert result["outcome"] == decision["outcome"]
    assert len(decision["base"]["scores"]) == 2
    assert decision["base"]["seeds"] == [8, 9], "seeds that the search never saw: it trains with 7"
    assert 0 < result["time"]["training_share"] < 1
    states = [t["state"] for t in read_json(finished / "trials.json")["trials"]]
    assert states == ["complete"] * 3
    assert not list(finished.parent.glob("*/recipe.json")) or result["winner"], "no winner, no run"


def test_trials_share_one_prepared_dataset_and_are_judged_by_their_checkpoints(finished: Path) -> None:
    (dataset,) = (finished.parent / "datasets").glob("*/manifest.json")
    for trial in read_json(finished / "trials.json")["trials"]:
        folder = finished / "trials" / trial["name"]
        assert (folder / read_json(folder / "dataset.json")["folder"]).resolve() == dataset.parent.resolve()
        record = CheckpointRecord.read(folder / "stages" / "0-main" / "checkpoint.json")
        assert trial["value"] == record.metrics["cer"]
        assert len(trial["curve"]) == 2


def test_the_best_recipe_is_ready_to_run(finished: Path) -> None:
    recipe = load_recipe(finished / "best_recipe.yaml")
    decision = read_json(finished / "decision.json")
    assert recipe.seed in decision["base"]["seeds"]
    base = load_sweep(TINY, HERE).base
    if decision["winner"] is None:
        assert recipe.model_copy(update={"seed": base.seed}).fingerprint == base.fingerprint


def test_a_finished_sweep_is_not_done_twice_and_a_larger_budget_goes_on_without_a_test_split(
    finished: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished.parent, store)
    folder = store / finished.name
    for shard in read_json(next((store / "datasets").glob("*/manifest.json")))["splits"]["test"]["shards"]:
        next((store / "datasets").glob(f"*/{shard['path']}")).unlink()  # whatever reads the test split now breaks
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.pt")}
    run_sweep(load_sweep(TINY, [*HERE, "budget.trials=3"]), folder, quiet())
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.pt")} == before
    run_sweep(load_sweep(TINY, [*HERE, "budget.trials=4"]), folder, quiet())
    assert [t["name"] for t in read_json(folder / "trials.json")["trials"]] == ["t0000", "t0001", "t0002", "t0003"]
    assert {p: t for p, t in before.items() if p.stat().st_mtime_ns != t} == {}


def test_a_changed_space_is_refused_with_the_difference(finished: Path) -> None:
    changed = load_sweep(TINY, [*HERE, "space={model.dropout: {uniform: [0.0, 0.2]}}"])
    with pytest.raises(BadInput, match=r"space\.stages\.main\.lr") as caught:
        open_sweep(str(finished), finished.parent, changed)
    assert "new sweep" in str(caught.value)
    same = load_sweep(TINY, [*HERE, "budget.trials=99"])
    assert open_sweep("latest", finished.parent, same) == finished
    assert open_sweep(finished.name, finished.parent, None) == finished
    with pytest.raises(BadInput, match="no such sweep"):
        open_sweep("nothing", finished.parent, same)


def test_a_metric_that_is_never_reported_and_a_wrong_direction_are_refused(tmp_path: Path) -> None:
    for override, words in (
        ("objective={metric: raw_cer, direction: minimize}", "never reported"),
        ("objective={metric: exact_match, direction: minimize}", "say maximize"),
    ):
        with pytest.raises(BadInput, match=words):
            new_sweep(load_sweep(TINY, [*HERE, override]), tmp_path / "store")
        assert not (tmp_path / "store").exists()


def test_a_sweep_whose_data_are_refused_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("a.png\tAB1\nb.png\tAB2\n")
    settings = [argument for override in HERE if "synthetic" not in override for argument in ("--set", override)]
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(TINY), "--labels", str(tmp_path / "labels.txt"), "--store", str(tmp_path / "store"), *settings])
    assert stopped.value.code == ExitCode.BAD_INPUT
    assert "missing_image" in capsys.readouterr().err
    assert not list((tmp_path / "store").glob("tiny*"))


@pytest.mark.slow
def test_a_winner_goes_through_the_rest_of_the_pipeline_with_the_weights_it_won_with(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished.parent, store)
    real = sweeping.decide

    def generous(*arguments: Any, **more: Any) -> Decision:
        found = real(*arguments, **more)
        return dataclasses.replace(found, outcome=WINNER, winner=found.candidates[0].name)

    monkeypatch.setattr(sweeping, "decide", generous)
    screen = quiet()
    outcome = run_sweep(load_sweep(TINY, [*HERE, "budget.trials=3"]), store / finished.name, screen)
    assert outcome.winner is not None
    run = outcome.winner.run
    assert outcome.exit_code == ExitCode.INSUFFICIENT_DATA
    assert Scorecard.read(run / "scorecard.json").split == "test"
    won = load_recipe(outcome.folder / "best_recipe.yaml")
    trained = outcome.folder / "confirm" / f"{outcome.decision.winner}-seed{won.seed}" / "stages" / "0-main"
    assert sha256_file(run / "stages" / "0-main" / "best.pt") == sha256_file(trained / "best.pt")
    assert read_json(run / "recipe.json")["seed"] == won.seed
    assert (run / "release.json").is_file()
    assert run.name in (outcome.folder / "report.html").read_text()
    again = run_sweep(load_sweep(TINY, [*HERE, "budget.trials=3"]), outcome.folder, quiet())
    assert again.winner is not None
    assert again.winner.run == run, "a resumed sweep goes on with the same run"


# -- without training


@pytest.fixture
def owner(tmp_path: Path) -> Callable[..., SweepTrials]:
    """Return a function that makes the owner of a sweep's trials, in the same folder each time."""

    def make(*overrides: str, say: Callable[[str], None] = lambda line: None) -> SweepTrials:
        sweep: Sweep = load_sweep(TINY, [*HERE, "budget.trials=4", *overrides])
        folder = tmp_path / "sweep"
        folder.mkdir(exist_ok=True)
        clock = Clock(folder)
        clock.begin(SEARCH)
        return SweepTrials(sweep, folder, tmp_path, SweepStudy(sweep.config, folder, sweep.base_values()), clock, say)

    return make


def complete(cer: float) -> dict[str, Any]:
    return {"state": "complete", "metrics": {"cer": cer}, "epoch": 2, "seconds": 1.0}


def test_the_base_recipe_fills_the_wait_for_the_last_trials(owner: Callable[..., SweepTrials]) -> None:
    trials = owner("budget.trials=2")
    first, second, base = (trials.next() for _ in range(3))
    assert isinstance(first, Path)
    assert isinstance(second, Path)
    assert isinstance(base, Path)
    assert (first.name, second.name, base.name) == ("t0000", "t0001", "base-seed8")
    assert isinstance(trials.next(), Path)
    assert trials.next() is Wait.WAIT
    trials.ended(first, complete(0.9))
    assert trials.next() is Wait.WAIT
    trials.ended(second, complete(0.4))
    confirming = [trials.next(), trials.next()]
    assert [p.name for p in confirming if isinstance(p, Path)] == ["t0001-seed8", "t0001-seed9"]
    assert trials.next() is None
    assert "best cer 0.4000 (t0001)" in headline(trials, 2)
    Console(file=io.StringIO()).print(view(trials, 2))


def test_a_terminal_shows_what_runs_and_what_is_left(owner: Callable[..., SweepTrials]) -> None:
    trials = owner("budget={trials: 4, hours: 2.0}")
    folder = trials.next()
    assert isinstance(folder, Path)
    screen = Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)
    before = trials.say
    with shown(trials, screen):
        trials.epoch_ended(folder, {"epoch": 1, "cer": 0.75})
        time.sleep(1.2)
        trials.ended(folder, complete(0.5))
    told = text_of(screen)
    assert all(words in told for words in ("t0000", "0.7500", "3 of 4 trials left", "1:59:", "t0000 complete"))
    assert trials.say == before


def test_a_failed_trial_is_kept_with_its_reason_and_the_search_goes_on(owner: Callable[..., SweepTrials]) -> None:
    lines: list[str] = []
    trials = owner(say=lines.append)
    first = trials.next()
    assert isinstance(first, Path)
    trials.ended(first, {"state": "failed", "reason": "the loss became NaN or infinite", "seconds": 0.1})
    assert any("NaN" in line for line in lines)
    second = trials.next()
    assert isinstance(second, Path)
    trials.ended(second, complete(0.5) | {"metrics": {"cer": None}})
    table = trials.study.table()
    assert [t.state for t in table] == ["failed", "failed"]
    assert "NaN" in table[0].reason
    assert "no cer" in table[1].reason


def test_a_sweep_in_which_everything_fails_ends(owner: Callable[..., SweepTrials]) -> None:
    trials = owner("budget.trials=50")
    for _ in range(5):
        folder = trials.next()
        assert isinstance(folder, Path)
        trials.ended(folder, {"state": "failed", "reason": "out of memory", "seconds": 0.1})
    assert trials.next() is None
    assert isinstance(trials.broken, StepFailed)
    assert "out of memory" in str(trials.broken)


def test_values_that_break_a_law_fail_before_training(owner: Callable[..., SweepTrials]) -> None:
    batches = "space={stages.main.batch_size: {int: [15, 16]}, model.dropout: {uniform: [0.0, 0.3]}}"  # 15 divides by five
    trials = owner("recipe.runtime.launcher=ray", "resources.workers=5", batches, "budget.trials=12")
    folder = trials.next()
    assert isinstance(folder, Path)
    assert read_json(folder / "recipe.json")["stages"][0]["batch_size"] == 15
    refused = [t.reason for t in trials.study.table() if t.reason]
    assert refused, "the base recipe's own batch of 16 comes first"
    assert all("GY006" in reason for reason in refused)


def test_the_hours_end_the_search_over_all_sessions(owner: Callable[..., SweepTrials]) -> None:
    trials = owner("budget={hours: 1.0}")
    folder = trials.next()
    assert isinstance(folder, Path)
    trials.clock.phases[-1]["from"] -= 1800
    assert trials.epoch_ended(folder, {"epoch": 1, "cer": 0.5})
    trials.clock.beat(force=True)
    again = owner("budget={hours: 1.0}")  # a second session
    folder = again.next()
    assert isinstance(folder, Path)
    assert folder.name == "t0000", "the unfinished trial first"
    again.clock.phases[-1]["from"] -= 1900
    assert not again.epoch_ended(folder, {"epoch": 2, "cer": 0.5})
    assert "budget of 1 h" in again.study.table()[0].reason
    following = again.next()
    assert isinstance(following, Path)
    assert following.name == "base-seed8", "no new trial, but the decision is still made"


def test_what_breaks_a_trial_is_its_outcome(owner: Callable[..., SweepTrials]) -> None:
    trials = owner()
    folder = trials.next()
    assert isinstance(folder, Path)
    (folder / "dataset.json").write_text(json.dumps({"folder": "nowhere"}))

    def launch(job: StageJob, tell: Any) -> CheckpointRecord:
        raise MemoryError("cannot allocate")

    outcome = train_trial(folder, lambda row: None, launch)
    assert outcome["state"] == "failed"
    assert outcome["reason"]


def test_values_are_told_by_what_tells_them_apart() -> None:
    assert told_values({"stages.main.lr": 0.00123456, "model.layers": 2}) == "lr 0.00123, layers 2"
    assert told_values({"stages.a.lr": 0.1, "stages.b.lr": 0.2}) == "stages.a.lr 0.1, stages.b.lr 0.2"
    assert told_values({}) == "as the base recipe"


# -- a real driver, really killed


def states(folder: Path) -> dict[int, str]:
    try:
        with sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True, timeout=5) as study:
            return dict(study.execute("select number, state from trials").fetchall())
    except sqlite3.Error:  # not made yet
        return {}


def rungs(folder: Path) -> set[tuple[int, str]]:
    with sqlite3.connect(folder / "study.db", timeout=5) as study:
        rows = study.execute("select trial_id, key from trial_system_attributes where key like 'completed_rung%'").fetchall()
    return set(rows)


def epochs(trial: Path) -> list[dict[str, Any]]:
    metrics = trial / "stages" / "0-main" / "metrics.jsonl"
    lines = metrics.read_text().splitlines() if metrics.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def curve(rows: list[dict[str, Any]]) -> list[tuple[int, float, float]]:
    return [(r["epoch"], r["train_loss"], r["val_loss"]) for r in rows]


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(1500)  # two drivers: a minute on two idle cores, many on a busy one
def test_a_killed_driver_loses_nothing(ray_session: None, finished: Path, tmp_path: Path) -> None:
    import ray

    # The drivers are clients of a cluster that outlives them, as a cluster does: workers of a dead one may linger.
    environment = os.environ | {"RAY_ADDRESS": ray.get_runtime_context().gcs_address, "RAY_AUTH_MODE": "token"}
    store = tmp_path / "store"
    shutil.copytree(finished.parent / "datasets", store / "datasets")  # the same data, prepared already
    sizes = [
        "recipe.stages.main.epochs=8",
        "asha={grace_epochs: 4, reduction_factor: 2}",
        "budget.trials=2",
        "concurrency=1",
        "confirm.top_k=1",
    ]
    settings = [argument for override in [*FASTER, *sizes] for argument in ("--set", override)]
    command = [sys.executable, "-m", "glyphyard.cli.main", "sweep", str(TINY), "--store", str(store), *settings]
    with (tmp_path / "first.log").open("w") as log:
        driver = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            folder = wait_for_the_second_trial(store, driver, tmp_path / "first.log")
        finally:
            if driver.poll() is None:
                os.kill(driver.pid, signal.SIGKILL)
            driver.wait()
    assert states(folder)[1] == "RUNNING", "the kill came in the middle of a trial"
    first = sha256_file(folder / "trials" / "t0000" / "stages" / "0-main" / "best.pt")
    cut, had = curve(epochs(folder / "trials" / "t0001")), rungs(folder)
    assert had

    done = subprocess.run(
        [*command, "--resume", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode in (0, 1, 3), done.stderr
    assert Path(json.loads(done.stdout)["sweep"]) == folder
    after = states(folder)
    assert len(after) == 2, "no twin of the unfinished trial"
    assert set(after.values()) <= {"COMPLETE", "PRUNED"}, "no orphan"
    assert sha256_file(folder / "trials" / "t0000" / "stages" / "0-main" / "best.pt") == first
    resumed = curve(epochs(folder / "trials" / "t0001"))
    assert resumed[: len(cut)] == cut, (
        "it went on from its checkpoint; a last line without its state is trained to the same figures"
    )
    assert len(resumed) > len(cut)
    assert had <= rungs(folder)
    assert "1 unfinished trials go on" in done.stderr
    assert not any("t0000 complete" in line for line in done.stderr.splitlines()), "a finished trial is not trained again"


def wait_for_the_second_trial(store: Path, driver: subprocess.Popen[bytes], log: Path) -> Path:
    deadline = time.monotonic() + 500
    while time.monotonic() < deadline:
        assert driver.poll() is None, log.read_text()
        for folder in (p.parent for p in store.glob("*/sweep.json")):
            if states(folder).get(0) == "COMPLETE" and len(epochs(folder / "trials" / "t0001")) >= 2:
                return folder
        time.sleep(0.1)
    raise AssertionError("no second trial in time: " + log.read_text())
