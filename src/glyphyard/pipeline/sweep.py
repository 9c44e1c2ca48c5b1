"""A sweep from file to decision: prepare once, search, confirm, decide, and take the winner through export, gate and registry."""

from __future__ import annotations

import io
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from ruamel.yaml import YAML

from glyphyard.cluster.environment import set_defaults
from glyphyard.core.errors import BadInput, ExitCode, StepFailed
from glyphyard.core.files import make_folder, read_json, write_json, write_text
from glyphyard.core.records import CheckpointRecord
from glyphyard.core.redact import redact
from glyphyard.pipeline.clock import SEARCH, Clock, told
from glyphyard.pipeline.decision import Decision, decide
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.step import perform
from glyphyard.pipeline.steps import Outcome, execute, prepare_step
from glyphyard.pipeline.store import environment, new_run, only_one
from glyphyard.pipeline.study import SweepStudy
from glyphyard.pipeline.sweep_live import shown
from glyphyard.pipeline.sweep_trials import BASE, SweepTrials
from glyphyard.pipeline.trial import Stopped, train_plain, train_trial
from glyphyard.recipe.load import recipe_from_json
from glyphyard.recipe.sweep_load import sweep_from_json
from glyphyard.recipe.sweep_with_base import Sweep, differences
from glyphyard.training.job import StageJob

LATEST = "latest"


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended: its decision, the winner's run (None without a winner) and the shell's status."""

    folder: Path
    decision: Decision
    winner: Outcome | None
    account: dict[str, Any]

    @property
    def exit_code(self) -> ExitCode:
        """Return the gate's status for the winner; 0 where the base recipe stays."""
        return self.winner.exit_code if self.winner else ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "sweep": str(self.folder),
            "outcome": self.decision.outcome,
            "message": self.decision.message,
            "winner": self.decision.winner,
            "best_recipe": str(self.folder / "best_recipe.yaml"),
            "run": str(self.winner.run) if self.winner else None,
            "gate": self.winner.verdict.outcome if self.winner else None,
            "time": self.account,
            "report": str(self.folder / "report.html"),
            "exit_code": int(self.exit_code),
        }


def new_sweep(sweep: Sweep, store: Path) -> Path:
    """Create a sweep's folder in the store, with the sweep and the environment in it."""
    check_metric(sweep)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = make_folder(make_folder(store.absolute()) / f"{sweep.config.name}-{stamp}-{secrets.token_hex(2)}")
    write_json(folder / "environment.json", environment())
    write_json(folder / "sweep.json", sweep.to_json())
    return folder


def check_metric(sweep: Sweep) -> None:
    """Refuse an objective that this task's validation never reports, or whose better side is the other one."""
    from glyphyard.tasks.catalogue import task_of

    names, objective = task_of(sweep.base).metric_names, sweep.config.objective
    if objective.metric not in names:
        raise BadInput("objective.metric", f"`{objective.metric}` is never reported", f"validation reports {', '.join(names)}")
    right = "minimize" if names[objective.metric] == "lower" else "maximize"
    if objective.direction != right:
        raise BadInput(
            "objective.direction",
            f"{objective.direction} {objective.metric}, of which {names[objective.metric]} is better",
            f"say {right}",
        )


def open_sweep(name: str, store: Path, sweep: Sweep | None) -> Path:
    """Find a sweep's folder by path, by name, or as the latest of this sweep; changed inside, it is a `BadInput`."""
    folders = sorted(store.glob("*/sweep.json"), key=lambda p: p.stat().st_mtime) if store.is_dir() else []
    if name == LATEST:
        wanted = sweep.config.name if sweep else None
        mine = [p.parent for p in folders if wanted in (None, read_json(p)["sweep"]["name"])]
        if not mine:
            raise BadInput(
                "--resume", f"there is no sweep {wanted or ''} in {store} to go on with", "leave --resume out to start one"
            )
        folder = mine[-1]
    else:
        found = next((p for p in (Path(name), store / name) if (p / "sweep.json").is_file()), None)
        if found is None:
            remedy = f"the latest is {folders[-1].parent.name}" if folders else "there is none yet"
            raise BadInput(f"--resume {name}", f"no such sweep in {store}", remedy)
        folder = found.absolute()
    if sweep is not None and (changed := differences(sweep_of(folder), sweep)):
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise BadInput(
            str(folder),
            f"the sweep has changed since it was started: {changed[0]}{more}",
            "undo that, or start a new sweep without --resume",
        )
    return folder


def sweep_of(folder: Path) -> Sweep:
    """Return the sweep that a folder was started with."""
    return sweep_from_json(read_json(folder / "sweep.json"), str(folder / "sweep.json"))


def run_sweep(sweep: Sweep, folder: Path, console: Console, started: float | None = None) -> SweepOutcome:
    """Do what is left of a sweep; a killed one goes on where it was. `started`: when the command began, in Unix seconds."""
    set_defaults()
    with only_one(folder):
        if (folder / "sweep.json").is_file():
            write_json(folder / "sweep.json", sweep.to_json())  # budget and concurrency may have changed
        run = Run(sweep.base, folder, folder.parent, console)
        with run.resources:
            return _run(sweep, run, Clock(folder, started))


def _run(sweep: Sweep, run: Run, clock: Clock) -> SweepOutcome:
    folder = run.folder
    with clock.phase("starting"):
        study = SweepStudy(sweep.config, folder, sweep.base_values())
    with clock.phase("starting Ray"):
        run.connect()
    with clock.phase("preparing"):
        perform(prepare_step(run), folder, run.say)
    run.say(f"study: optuna-dashboard {redact(study.url)}")
    trials = SweepTrials(sweep, folder, run.dataset, study, clock, run.say)
    if trials.unfinished:
        run.say(f"sweep: {len(trials.unfinished)} unfinished trials go on from their checkpoints")
    with clock.phase(SEARCH), shown(trials, run.console):
        _train_all(trials, run)
    if trials.broken:
        raise trials.broken
    with clock.phase("deciding"):
        decision = _decide(trials, run)
        recipe_of_best(sweep, decision, folder)
    run.say(f"decision: {decision.message}")
    with clock.phase("export, evaluation, gate and registry"):
        winner = _finish_winner(trials, decision, run)
    with clock.phase("report"):
        _report(trials, decision, winner, clock, run)
    if decision.noise is None:
        raise StepFailed(str(folder), decision.message, "look at the reasons in confirm/")
    account = clock.account()
    run.say(told(account))
    outcome = SweepOutcome(folder, decision, winner, account)
    write_json(folder / "result.json", outcome.to_json())
    return outcome


def _train_all(trials: SweepTrials, run: Run) -> None:
    config = trials.config
    if run.recipe.runtime.launcher == "in_process":
        _one_by_one(trials)
        return
    from glyphyard.cluster.session import free_resources
    from glyphyard.cluster.tune import run_trials, slots_of

    trials.clock.slots = slots_of(config.resources, free_resources(), config.concurrency)
    run.say(f"search: {trials.clock.slots} trials at a time")
    run_trials(trials, train_trial, config.resources, config.concurrency, run.folder / "ray")


def _one_by_one(trials: SweepTrials) -> None:
    """Train in this process, one trial after another: `runtime.launcher: in_process`."""
    while isinstance(found := trials.next(), Path):
        folder = found

        def tell(row: dict[str, Any], folder: Path = folder) -> None:
            trials.tick()
            if not trials.epoch_ended(folder, row):
                raise Stopped

        with suppress(Stopped):
            trials.ended(folder, train_trial(folder, tell, train_plain))
        trials.tick()


def _decide(trials: SweepTrials, run: Run) -> Decision:
    config = trials.config
    decision = decide(
        config.objective,
        config.confirm,
        trials.contender(BASE, {}),
        [trials.contender(f"t{t.number:04d}", t.values) for t in trials.candidates],
        resolution=1 / max(1, run.manifest.splits["validation"].rows),
    )
    decision.write(run.folder / "decision.json")
    return decision


def recipe_of_best(sweep: Sweep, decision: Decision, folder: Path) -> dict[str, Any]:
    """Write best_recipe.yaml, the winner's recipe (or the base's) with its best seed, ready to run; return its JSON."""
    best = next((c for c in decision.candidates if c.name == decision.winner), decision.base)
    tree = sweep.with_values(best.values, best_seed(decision, best.seeds, best.scores))
    yaml, text = YAML(), io.StringIO()
    yaml.width = 120
    yaml.default_flow_style = None
    yaml.dump({k: v for k, v in tree.items() if k != "suite"}, text)
    head = f"# {decision.message}\n# Written by the sweep {folder.name}.\n"
    write_text(folder / "best_recipe.yaml", head + text.getvalue())
    return tree


def best_seed(decision: Decision, seeds: list[int], scores: list[float]) -> int | None:
    """Return the seed with the best validation figure; None where none finished."""
    sign = 1 if decision.direction == "minimize" else -1
    return min(zip(scores, seeds, strict=True), key=lambda pair: sign * pair[0])[1] if seeds else None


def _finish_winner(trials: SweepTrials, decision: Decision, run: Run) -> Outcome | None:
    """Take the winner's weights of its best seed through the rest of the pipeline, in a run of its own."""
    if decision.winner is None:
        return None
    best = next(c for c in decision.candidates if c.name == decision.winner)
    seed = best_seed(decision, best.seeds, best.scores)
    assert seed is not None  # it has won
    trained = trials.confirm_folder(best.name, seed)
    recipe = recipe_from_json(trials.sweep.with_values(best.values, seed))
    known = run.folder / "winner.json"
    folder = run.store / read_json(known)["run"] if known.is_file() else None
    if folder is None or not folder.is_dir() or read_json(folder / "recipe.json") != recipe.to_json():
        folder = new_run(recipe, run.store)
        write_json(known, {"run": folder.name, "trial": best.name, "seed": seed})
    run.say(f"winner: {best.name} with seed {seed} goes through export and gate in {folder}")
    with only_one(folder):
        return execute(Run(recipe, folder, run.store, run.console, launch=_adopting(trained)))


def _adopting(trained: Path) -> Callable[[StageJob], CheckpointRecord]:
    """Return a launcher that takes a stage that is trained already, with its history."""

    def adopt(job: StageJob) -> CheckpointRecord:
        source = trained / "stages" / job.stage_dir.name
        shutil.copytree(source, job.stage_dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns("ray", "checkpoint.json"))
        record = CheckpointRecord.read(source / "checkpoint.json")
        parent = str(job.parent) if job.parent else None
        return CheckpointRecord(**record.to_json() | {"path": str(job.best), "parent": parent})

    return adopt


def _report(trials: SweepTrials, decision: Decision, winner: Outcome | None, clock: Clock, run: Run) -> None:
    from glyphyard.report.sweep import write_sweep_report

    rows = []
    for trial in trials.study.table():
        outcome = trials.outcome_of(trials.trial_folder(trial.number)) or {}
        rows.append(
            {
                "name": f"t{trial.number:04d}",
                "state": trial.state,
                "values": trial.values,
                "value": trial.value,
                "curve": [[epoch, value] for epoch, value in trial.curve.items()],
                "reason": trial.reason,
                "seconds": outcome.get("seconds"),
            }
        )
    write_json(
        run.folder / "trials.json",
        {
            "trials": rows,
            "importances": trials.study.importances(),
            "time": clock.account(),
            "winner": {"run": winner.run.name, "gate": winner.verdict.outcome} if winner else None,
        },
    )
    run.say(f"report: {write_sweep_report(run.folder)}")
