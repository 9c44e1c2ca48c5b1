"""The plan file of a target, `targets/<name>.json` in a bundle: everything a builder on the device has to be told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.records import Record
from glyphyard.core.targets import PRECISIONS, Target, target_named
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.manifest import MODEL

PLAN_VERSION = 1
EXPORT_AGAIN = "export the bundle again with this target in the recipe's export.targets"


@dataclass(frozen=True)
class BuildPlan(Record):
    """How an engine is built from `onnx`, a file of the bundle; `batch` is (min, opt, max), `shape` (channels, height, width).

    `keep_fp32` names ONNX nodes that stay in fp32 where flags choose the precision. `tolerance` bounds what
    `core.agreement.difference` finds between the engine's output and the golden one. `calibration` says which crops an
    INT8 graph's scales come from. `dla` is the core's number.
    """

    schema_version: int
    target: str
    tensorrt: str
    precision: str
    onnx: str
    input: str
    output: str
    shape: list[int]
    batch: list[int]
    workspace_mb: int
    tolerance: float
    dla: int | None = None
    keep_fp32: list[str] = field(default_factory=list)
    calibration: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        """The batches at which exported readers have been wrong before: 1, 2, 3, opt and max, as far as the profile goes."""
        low, best, high = self.batch
        return sorted({size for size in (1, 2, 3, best, high) if low <= size <= high} | {low})

    def shapes(self) -> list[list[int]]:
        """The input's shapes of the optimisation profile, (min, opt, max)."""
        return [[size, *self.shape] for size in self.batch]


# What rounding does to probabilities and log-probabilities of classes that matter; TensorRT's fp32 kernels sum in another
# order than ONNX Runtime's, TF32 included. INT8 is held to its strings and to the suite.
TOLERANCES = {"fp32": 2e-2, "fp16": 0.1, "int8": 0.75}


def plan_name(target: str) -> str:
    """Return the plan's name inside a bundle."""
    return f"targets/{target}.json"


def describe_plan(
    target: Target,
    bundle_input: tuple[str, list[int]],
    output: str,
    *,
    precision: str | None = None,
    batch: tuple[int, int, int] | None = None,
    workspace_mb: int | None = None,
    dla: int | None = None,
    **rest: Any,
) -> BuildPlan:
    """Return a target's plan; what is None is the table's. `bundle_input` is (name, [channels, height, width])."""
    precision = precision or target.precision
    return BuildPlan(
        schema_version=PLAN_VERSION,
        target=target.name,
        tensorrt=target.tensorrt.series,
        precision=precision,
        onnx=rest.pop("onnx", MODEL),
        input=bundle_input[0],
        output=output,
        shape=list(bundle_input[1]),
        batch=list(batch or target.batch),
        workspace_mb=workspace_mb or target.workspace_mb,
        tolerance=rest.pop("tolerance", None) or TOLERANCES[precision],
        dla=dla,
        **rest,
    )


def plan_for(bundle: Bundle, target: str, precision: str | None = None) -> BuildPlan:
    """Return the bundle's own plan for a target, else one from the table; what neither can say is a `BadInput`.

    `precision` asks for another one than the plan's: fp32 always works, fp16 where a builder's flag is enough.
    """
    plan, known = _planned(bundle, target), target_named(target)
    if precision in (None, plan.precision):
        return plan
    if precision != "fp32" and (precision != "fp16" or known.tensorrt.precision_by == "graph"):
        raise BadInput(str(bundle.folder), f"has no {precision} graph for {target}, its plan is {plan.precision}", EXPORT_AGAIN)
    kept = plan.keep_fp32 if precision == "fp16" else []
    return replace(
        plan, precision=precision, onnx=MODEL, tolerance=TOLERANCES[precision], keep_fp32=kept, calibration={}, dla=None
    )


def _planned(bundle: Bundle, target: str) -> BuildPlan:
    known, name = target_named(target), plan_name(target)
    if name in bundle.manifest.files:
        return read_plan(bundle, known, name)
    if known.tensorrt.precision_by == "graph" and known.precision != "fp32":
        # A strongly typed TensorRT takes its types from the ONNX, and this bundle has only the fp32 one.
        raise BadInput(
            str(bundle.folder), f"has no plan for {target}, whose {known.precision} graph is made at export", EXPORT_AGAIN
        )
    spec = bundle.manifest.input
    return describe_plan(known, (spec.name, list(spec.shape[1:])), bundle.manifest.output.name)


def read_plan(bundle: Bundle, target: Target, name: str) -> BuildPlan:
    """Read and check a bundle's plan file."""
    where = f"{bundle.folder / name}"
    try:
        value = json.loads(bundle.read(name))
    except ValueError as error:
        raise BadInput(where, "expected a JSON file", EXPORT_AGAIN) from error
    if not isinstance(value, dict) or value.get("schema_version") != PLAN_VERSION:
        raise BadInput(where, f"expected a plan of version {PLAN_VERSION}", "use the Glyphyard that wrote it, or export again")
    plan = BuildPlan.from_json(value, where)
    spec = bundle.manifest.input
    checks = {
        "target": plan.target == target.name,
        "precision": plan.precision in PRECISIONS,
        "onnx": plan.onnx in bundle.manifest.files,
        "input": (plan.input, plan.shape) == (spec.name, list(spec.shape[1:])),
        "output": plan.output == bundle.manifest.output.name,
        "batch": len(plan.batch) == 3 and 1 <= plan.batch[0] <= plan.batch[1] <= plan.batch[2],
        "workspace_mb": plan.workspace_mb >= 1,
        "tolerance": plan.tolerance > 0,
        # An accelerator knows no dynamic sizes.
        "dla": plan.dla is None or (0 <= plan.dla < target.dla_cores and len(set(plan.batch)) == 1),
    }
    if wrong := [key for key, holds in checks.items() if not holds]:
        raise BadInput(where, f"{wrong[0]} {getattr(plan, wrong[0])!r} does not fit the bundle or the target", EXPORT_AGAIN)
    return plan
