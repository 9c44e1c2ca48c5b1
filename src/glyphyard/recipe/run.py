"""Where it runs, how it is judged, what is shipped and where it is registered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from glyphyard.recipe.base import RecipePath, Strict
from glyphyard.recipe.targets import TargetConfig


class RuntimeConfig(Strict):
    """What a run asks of the machine or the cluster."""

    launcher: Literal["ray", "in_process"] = Field("ray", description="in_process: no Ray Train, for a bare GPU or a debugger.")
    workers: int = Field(1, ge=1, le=1024, description="Training processes (DDP).")
    gpus_per_worker: float = Field(0, ge=0, le=8)
    cpus_per_worker: int | None = Field(None, ge=1, description="All the machine's, shared out, when absent.")
    resident_budget_mb: int = Field(
        2048, ge=1, description="Larger shards stream from disk through Ray Data instead of staying in memory."
    )
    loader_workers: int = Field(
        0, ge=0, le=64, description="task detection on a GPU: processes beside each worker that read and augment pages."
    )
    max_failures: int = Field(
        0, ge=0, description="Worker crashes that Ray Train answers with a restart from the last checkpoint."
    )


class EvaluateConfig(Strict):
    """Which suite judges the bundle."""

    suite: RecipePath = Field(description="A file like those of evals/suites; its path from here.")
    baseline: RecipePath | None = Field(None, description="A file of evals/baselines: the gate fails on a loss against it, too.")
    batch_size: int = Field(64, ge=1, le=4096)
    threads: int | None = Field(None, ge=1)


class ExportConfig(Strict):
    """What the bundle holds."""

    opset: Annotated[int, Field(ge=17, le=18)] = 18
    max_batch: int = Field(64, ge=3, le=1024, description="The largest batch the parity check runs and targets may plan for.")
    golden: int = Field(16, ge=1, le=256, description="Validation crops whose readings every device replays.")
    tolerance: float = Field(
        1e-3, gt=0, description="Largest absolute difference of a log-probability between torch and ONNX Runtime."
    )
    calibrate: bool = Field(True, description="Fit confidences to how often they are right, on the validation split.")
    ngram: int = Field(
        0, ge=0, le=8, description="Order of a character n-gram of the training labels for `--decode beam`; 0: none."
    )
    cpu: Literal["thin", "int8", "fp32"] = Field(
        "thin",
        description="model_pixels.onnx for CPUs. thin: LSTMs in int8 and without units that others stand in for; int8: all units; "
        "fp32: no such file. A form that reads otherwise gives way to the next.",
    )
    cpu_changed: float = Field(
        0.005, ge=0, le=1, description="Largest share of validation and training crops that model_pixels.onnx may read otherwise."
    )
    targets: Annotated[tuple[TargetConfig, ...], Field(strict=False)] = Field(
        (), description="TensorRT devices that the bundle carries plans for; the ONNX is held against what each can run."
    )


class RegisterConfig(Strict):
    """Where a PASS goes."""

    enabled: bool = True
    model_name: str = Field("glyphyard-reader", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tracking_uri: str | None = Field(None, description="An MLflow server; an embedded database in the store when absent.")
    experiment: str = "glyphyard"
    alias: str = Field("candidate", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
