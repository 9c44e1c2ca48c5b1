"""Ask before Ray does: it would wait for ever for workers that no machine can hold."""

from __future__ import annotations

from dataclasses import dataclass

from glyphyard.core.errors import BadInput
from glyphyard.recipe.run import RuntimeConfig


@dataclass(frozen=True)
class WorkerShare:
    """What each training worker gets."""

    cpus: int
    gpus: float


def share_out(runtime: RuntimeConfig, resources: dict[str, float], where: str = "runtime") -> WorkerShare:
    """Give each worker its CPUs and GPUs; more than the cluster has is a `BadInput` that says both sides."""
    cpus, gpus = int(resources.get("CPU", 0)), resources.get("GPU", 0.0)
    each = runtime.cpus_per_worker or max(1, cpus // runtime.workers)
    if runtime.workers * each > cpus:
        raise BadInput(
            f"{where}.workers",
            f"{runtime.workers} workers with {each} CPUs each against a cluster of {cpus} CPUs",
            f"ask for at most {cpus // each} workers, or fewer CPUs for each",
        )
    if runtime.workers * runtime.gpus_per_worker > gpus:
        raise BadInput(
            f"{where}.gpus_per_worker",
            f"{runtime.workers} workers with {runtime.gpus_per_worker:g} GPUs each against a cluster of {gpus:g} GPUs",
            "set it to 0 to train on CPUs, or add GPU machines",
        )
    return WorkerShare(each, runtime.gpus_per_worker)
