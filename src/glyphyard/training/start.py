"""What a stage starts from: fresh, released or earlier weights, or with `start: resume` all of another run's last state.

What each start mode keeps of the checkpoint that `init` names:

    scratch    nothing
    finetune   the weights (the average where there is one); optimiser, schedule and epochs begin anew
    resume     weights, average, optimiser and its settings, place in the schedule, epochs, best so far

A run that was stopped goes on in its own folder (`--resume`), to the bit; nothing here happens unless a recipe asks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from glyphyard.core.errors import BadInput
from glyphyard.core.files import atomic_path
from glyphyard.tasks.base import Task
from glyphyard.training.checkpoint import State, load_state, put_weights, validated_weights, writing_state
from glyphyard.training.job import BEST, StageJob
from glyphyard.training.seeds import derive

METRICS = "metrics.jsonl"
FINETUNE = "start anew from its weights with `start: finetune`"


def begun_parts(job: StageJob, task: Task) -> tuple[nn.ModuleDict, str | None]:
    """Return the task's parts with the weights that a stage starts from, and what a person should know of them."""
    torch.manual_seed(derive(job.recipe.seed, "init"))
    parts, goes_on = task.build(), job.last.is_file()
    if (start := start_of(job)) is None:
        return parts, None if goes_on else task.warm_start(parts)
    fresh = put_weights(parts, validated_weights(start), str(start))
    if not fresh or goes_on:
        return parts, None
    # A pretrained recogniser alone is a good start, and a wrong file looks the same.
    warm = task.warm_start(nn.ModuleDict({name: parts[name] for name in fresh}))
    told = f"random weights in {', '.join(fresh)}: {start} holds none"
    return parts, f"{told}; but {warm}" if warm else told


def start_of(job: StageJob) -> Path | None:
    """Return the checkpoint that a stage starts from, None where it starts from scratch; a missing one is a `BadInput`."""
    if "scratch" in (job.stage.init, job.stage.start):
        return None
    if job.parent is None and (job.stage.init != "previous" or job.stage_index > 0):
        raise BadInput(f"stage `{job.stage.name}`", f"its start ({job.stage.init}) is missing", "train the stage before it first")
    return job.parent


def state_to_go_on(job: StageJob, fingerprints: dict[str, Any], steps_per_epoch: int, total_steps: int, lead: bool) -> State:
    """Return the state of `job.parent`, ready to be restored under this recipe; the `lead` rank copies what lies beside it.

    Another dataset, another number of workers, or nothing left to train is a `BadInput`. The recipe may be another one:
    more epochs are why one goes on. Epochs keep their count, so `epochs` is the number in all.
    """
    origin = job.parent
    assert origin is not None  # the laws ask for a file
    state = _whole(origin)
    differing = {k: (state["fingerprints"].get(k), fingerprints[k]) for k in ("dataset", "workers")}
    for name, (was, now) in differing.items():
        if was != now:
            raise BadInput(str(origin), f"was trained with {name} {was}, this run has {now}", FINETUNE)
    position = state["position"]
    done = position["epoch"] * steps_per_epoch + position["step"]
    if done >= total_steps:
        problem = f"has {position['epoch']} epochs done, and the recipe's stage `{job.stage.name}` asks for {job.stage.epochs or 'fewer steps'}"
        raise BadInput(str(origin), problem, "raise `epochs`: they count from the first one of all")
    state["position"] = position | {"steps": done, "stopped": "", "standing": _standing(origin, position["standing"])}
    if job.stage.ema_decay and state["ema"] is None:
        state |= {"ema": state["parts"], "ema_updates": 0}
    if lead:
        best = origin.with_name(BEST)
        if state["position"]["standing"]["best"]:
            _copy(best, job.best)
        if origin.with_name(METRICS).is_file():
            _copy(origin.with_name(METRICS), job.stage_dir / METRICS)
    return state


def _whole(path: Path) -> State:
    """Load a state that can go on; of a checkpoint made elsewhere weights may be all that there is."""
    state = load_state(path)
    if missing := [name for name in ("fingerprints", "position", "optimizer") if not isinstance(state.get(name), dict)]:
        raise BadInput(str(path), f"holds no {' and no '.join(missing)} to go on with", FINETUNE)
    return state


def _standing(origin: Path, standing: dict[str, Any]) -> dict[str, Any]:
    """Return where the stage stands: with its best epoch if that one's weights lie beside, and with all its patience."""
    patient = standing | {"stale": 0}
    best = origin.with_name(BEST)
    if best.is_file() and _whole(best)["position"]["standing"]["best_epoch"] == standing["best_epoch"]:
        return patient
    return patient | {"best_epoch": 0, "best": {}, "mark": None}


def check_optimizer(found: dict[str, Any], mine: dict[str, Any], where: str) -> None:
    """Refuse the state of another kind of optimiser, or of other parts."""
    kinds = [[(sorted(group), len(group["params"])) for group in state["param_groups"]] for state in (found, mine)]
    if kinds[0] != kinds[1]:
        raise BadInput(where, "holds the state of another optimiser, or of other parts", FINETUNE)


def _copy(source: Path, target: Path) -> None:
    with writing_state(target), atomic_path(target) as copy:
        copy.write_bytes(source.read_bytes())
