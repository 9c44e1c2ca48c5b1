"""The Ray Train launcher: the same loop as everywhere, on any number of workers, and a failure that reads as one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glyphyard.cluster.preflight import share_out
from glyphyard.cluster.session import free_resources
from glyphyard.core.errors import GlyphyardError, StepFailed
from glyphyard.core.records import CheckpointRecord
from glyphyard.recipe.load import recipe_from_json
from glyphyard.training.job import StageJob


def train_on_ray(job: StageJob) -> CheckpointRecord:
    """Train one stage with Ray Train on the connected cluster; raises what a worker raised, or `StepFailed`."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    runtime = job.recipe.runtime
    share = share_out(runtime, free_resources())
    trainer = TorchTrainer(
        _worker,
        train_loop_config=_to_json(job) | {"threads": share.cpus},
        torch_config=TorchConfig(backend="nccl" if share.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=runtime.workers,
            use_gpu=share.gpus > 0,
            resources_per_worker={"CPU": share.cpus} | ({"GPU": share.gpus} if share.gpus else {}),
        ),
        run_config=RunConfig(
            # Ray's own folder holds no weights of ours: the loop keeps them in the stage's folder. A name that is
            # used once: Ray silently resumes from a name that it has seen.
            name=f"{job.stage_dir.name}-{_attempt(job.stage_dir)}",
            storage_path=str(job.stage_dir / "ray"),
            failure_config=FailureConfig(max_failures=runtime.max_failures, controller_failure_limit=1),
            worker_runtime_env={"env_vars": {"OMP_NUM_THREADS": str(share.cpus)}},
        ),
    )
    try:
        result = trainer.fit()
    except Exception as error:
        raise _readable(error, job) from error
    return CheckpointRecord.from_json(result.return_value, "the training workers' answer")


def _worker(config: dict[str, Any]) -> dict[str, Any] | None:
    """Run the loop on this rank; rank 0 returns the record."""
    import ray.train
    import ray.train.torch
    import torch

    from glyphyard.training.catalogue import trainer_of
    from glyphyard.training.ranks import TorchRanks
    from glyphyard.training.watch import EpochRow, Watch

    class Reporting(Watch):
        """Tells Ray Train what an epoch gave; all ranks do, because `report` waits for all of them."""

        def epoch_ended(self, row: EpochRow) -> None:
            ray.train.report(row)

    torch.set_num_threads(config["threads"])
    ranks = TorchRanks(ray.train.torch.get_device())
    job = _from_json(config)
    record = trainer_of(job.recipe.task)(job, ranks, Reporting())
    return record.to_json() if ranks.rank == 0 else None


def _to_json(job: StageJob) -> dict[str, Any]:
    return {
        "recipe": job.recipe.to_json(),
        "stage_index": job.stage_index,
        "dataset": str(job.dataset),
        "stage_dir": str(job.stage_dir),
        "parent": str(job.parent) if job.parent else None,
    }


def _from_json(value: dict[str, Any]) -> StageJob:
    return StageJob(
        recipe=recipe_from_json(value["recipe"]),
        stage_index=value["stage_index"],
        dataset=Path(value["dataset"]),
        stage_dir=Path(value["stage_dir"]),
        parent=Path(value["parent"]) if value["parent"] else None,
    )


def _attempt(stage_dir: Path) -> int:
    return len(list((stage_dir / "ray").glob("*"))) if (stage_dir / "ray").is_dir() else 0


def _readable(error: Exception, job: StageJob) -> Exception:
    """Find the error that a worker raised inside Ray's, so that a user reads one line instead of three tracebacks."""
    failures = getattr(error, "worker_failures", None) or {}
    controller = getattr(error, "controller_failure", None)
    for cause in [*failures.values(), controller, error]:
        while cause is not None:
            if isinstance(cause, GlyphyardError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    first = next(iter(failures.values()), controller or error)
    return StepFailed(
        f"stage {job.stage_dir.name}",
        f"training failed: {type(first).__name__}: {' '.join(str(first).split())[:400]}",
        "resume with --resume",
    )
