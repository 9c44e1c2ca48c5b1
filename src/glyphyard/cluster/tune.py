"""Ray Tune as the hands of a sweep: it places trials and carries their reports; what they mean is decided by the caller.

Nothing that Tune keeps is ever read back. A resumed sweep starts Tune anew and hands out its unfinished trials again; their
weights, epochs and rungs stand in the trial folders and in the study (platform facts, section 3: Tuner.restore leaves
orphans in an RDB study, and its snapshots lag behind).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from glyphyard.cluster.environment import set_defaults
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.records import CheckpointRecord
from glyphyard.recipe.sweep import TrialResources
from glyphyard.training.job import StageJob
from glyphyard.training.loop import train_stage
from glyphyard.training.ranks import SingleRank
from glyphyard.training.telling import Tell, Telling, rows_of
from glyphyard.training.watch import EpochRow

Work = Callable[[Path, Tell, Callable[[StageJob, Tell], CheckpointRecord]], dict[str, Any]]
POLL_S = 0.5


class Wait(Enum):
    """No trial to hand out now, but later perhaps."""

    WAIT = 0


class Trials(Protocol):
    """What decides: called from the driver's main thread only, a trial being known by its folder."""

    def next(self) -> Path | Wait | None:
        """Return the folder of the next trial, WAIT, or None when there will be no more."""

    def epoch_ended(self, folder: Path, row: EpochRow) -> bool:
        """Take an epoch's row and say whether the trial goes on."""

    def ended(self, folder: Path, outcome: dict[str, Any]) -> None:
        """Take a trial's outcome."""

    def tick(self) -> None:
        """Called several times a second."""


def slots_of(resources: TrialResources, cluster: dict[str, float], concurrency: int | None = None) -> int:
    """Return how many trials run at a time: what fits, at most `concurrency`; a trial that never fits is a `BadInput`."""
    fits = []
    for kind, each, name in (("CPU", resources.cpus_per_worker, "cpus"), ("GPU", resources.gpus_per_worker, "gpus")):
        asked, there = each * resources.workers, cluster.get(kind, 0.0)
        if asked > there:
            raise BadInput(
                f"resources.{name}_per_worker",
                f"a trial asks for {asked:g} {kind}s ({resources.workers} workers with {each:g} each), the cluster has {there:g}",
                "ask for less, or add machines",
            )
        if asked:
            # A GPU is shared by whole trials: two of 0.6 do not fit one.
            whole = kind == "GPU" and each < 1 and resources.workers == 1
            fits.append(int(there) * int(1 / each + 1e-9) if whole else int(there / asked + 1e-9))
    return max(1, min([*fits, concurrency or fits[0]]))


def run_trials(trials: Trials, work: Work, resources: TrialResources, concurrency: int | None, folder: Path) -> int:
    """Run trials until there are no more, on the connected cluster; return how many ran at a time.

    `folder` is for Tune's own files, under a name that is used once.
    """
    set_defaults()
    import ray
    from ray import tune

    from glyphyard.cluster.tune_hooks import Asking, Deciding, Listening

    cluster = ray.cluster_resources()
    slots = slots_of(resources, cluster, concurrency)
    alone = resources.workers == 1
    # With one worker the trial trains in Tune's own process, which stays for the next one: importing torch costs more than
    # a tiny trial. Several workers are a group of Ray Train's, which reserves for itself; Tune's process then only watches.
    needs = {"cpu": resources.cpus_per_worker, "gpu": resources.gpus_per_worker} if alone else {"memory": 1}
    # One trial waits in line where resources bound the concurrency: then no process ends for want of a next trial.
    in_line = 1 if alone and slots == slots_of(resources, cluster) else 0
    tuner = tune.Tuner(
        tune.with_resources(_trainable(work), {k: v for k, v in needs.items() if v}),
        tune_config=tune.TuneConfig(
            search_alg=Asking(trials),
            scheduler=Deciding(trials),
            num_samples=-1,
            max_concurrent_trials=slots + in_line,
            reuse_actors=alone,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name=f"tune-{int(time.time())}",
            storage_path=str(folder),
            verbose=0,
            callbacks=[Listening(trials)],
        ),
    )
    try:
        tuner.fit()
    except Exception as error:
        raise StepFailed(
            "Ray Tune", f"{type(error).__name__}: {' '.join(str(error).split())[-300:]}", "go on with --resume"
        ) from error
    return slots


def _trainable(work: Work) -> Callable[[dict[str, Any]], None]:
    def trial(config: dict[str, Any]) -> None:
        from ray import tune

        def tell(row: EpochRow) -> None:
            tune.report({"row": json.dumps(row)})

        tune.report({"outcome": json.dumps(work(Path(config["folder"]), tell, train_told))})

    return trial


def train_told(job: StageJob, tell: Tell) -> CheckpointRecord:
    """Train a stage as a Ray Train run and tell each epoch: one worker in this process, several in a group of their own."""
    return train_here(job, tell) if job.recipe.runtime.workers == 1 else _train_group(job, tell)


def train_here(job: StageJob, tell: Tell) -> CheckpointRecord:
    """Train a stage in this process, as a Ray Train run in local mode."""
    import torch
    from ray.train import ScalingConfig
    from ray.train.torch import TorchTrainer

    runtime = job.recipe.runtime

    def worker() -> dict[str, Any]:
        torch.set_num_threads(runtime.cpus_per_worker or 1)
        device = "cuda" if runtime.gpus_per_worker else "cpu"
        return train_stage(job, SingleRank(device), Telling(job.stage_dir, tell)).to_json()

    # Zero workers is Ray Train's local mode: the same run without processes of its own.
    result = TorchTrainer(worker, scaling_config=ScalingConfig(num_workers=0)).fit()
    return CheckpointRecord.from_json(result.return_value, "the trial's answer")


def _train_group(job: StageJob, tell: Tell) -> CheckpointRecord:
    """Train with a worker group and tell what it writes down; Tune ends this process, and the group with it, to stop it."""
    from glyphyard.cluster.train import train_on_ray

    ended: list[CheckpointRecord | Exception] = []

    def train() -> None:
        try:
            ended.append(train_on_ray(job))
        except Exception as error:
            ended.append(error)

    metrics = job.stage_dir / "metrics.jsonl"
    old = {row["epoch"]: row for row in rows_of(metrics)}
    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    told = 0
    while True:
        over = not thread.is_alive()  # asked before the last look, so that no line is missed
        for row in rows_of(metrics):
            if row["epoch"] > told:
                told = row["epoch"]
                tell(row | ({"replayed": True} if old.get(told) == row else {}))
        if over:
            break
        thread.join(POLL_S)
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]
