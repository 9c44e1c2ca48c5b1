"""The recipe's targets → plan files and, where a precision needs one, another ONNX: linted, and read back in ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto

from glyphyard.core.agreement import difference
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import StepFailed
from glyphyard.core.files import sha256_bytes
from glyphyard.core.pixels import PixelContract
from glyphyard.core.targets import Target, target_named
from glyphyard.edge.bundle import Golden
from glyphyard.edge.manifest import MODEL
from glyphyard.edge.plan import TOLERANCES, describe_plan, plan_name
from glyphyard.edge.session import OnnxSession
from glyphyard.export.lint import lint, refuse
from glyphyard.export.precision import fp32_nodes, to_fp16, to_qdq
from glyphyard.recipe.run import ExportConfig

GRAPHS = {"fp16": "targets/model_fp16.onnx", "int8": "targets/model_int8.onnx"}


@dataclass(frozen=True)
class Exported:
    """What the plans are of: the fp32 graph, what it reads on the golden crops, and how its output becomes text.

    `training_crops` returns resized crops of the training split and nothing else.
    """

    model: ModelProto
    golden: Golden
    pixels: PixelContract
    decode: Callable[[np.ndarray], list[Reading]]
    training_crops: Callable[[int], Sequence[np.ndarray]]
    dataset_fingerprint: str


def target_files(exported: Exported, config: ExportConfig, say: Callable[[str], None] = print) -> dict[str, bytes]:
    """Return the bundle's files for the recipe's targets by name; a graph that a target cannot run is a `StepFailed`."""
    files: dict[str, bytes] = {}
    calibrations: dict[str, dict[str, Any]] = {}
    # One INT8 graph serves all targets: as many crops as the most careful of them asks for.
    most_crops = max((t.calibration for t in config.targets if t.chosen_precision() == "int8"), default=0)
    for wanted in config.targets:
        target, precision = target_named(wanted.name, "export.targets"), wanted.chosen_precision()
        graph = _graph_of(target, precision)
        if graph != MODEL and graph not in files:
            files[graph], calibrations[graph] = _converted(exported, precision, most_crops, say)
        model = exported.model if graph == MODEL else _parse(files[graph])
        findings = lint(model, target, wanted.dla)
        refuse(findings, target)
        for finding in findings:
            say(f"export: {target.name}: {finding}")
        plan = describe_plan(
            target,
            (model.graph.input[0].name, [exported.pixels.channels, exported.pixels.height, exported.pixels.width]),
            model.graph.output[0].name,
            precision=precision,
            batch=wanted.profile(config.max_batch),
            workspace_mb=wanted.workspace_mb,
            dla=wanted.dla,
            onnx=graph,
            keep_fp32=fp32_nodes(model) if target.tensorrt.precision_by == "flags" and precision != "fp32" else [],
            calibration=calibrations.get(graph, {}),
            findings=[str(finding) for finding in findings],
        )
        files[plan_name(target.name)] = (json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n").encode()
    return files


def _graph_of(target: Target, precision: str) -> str:
    """Return which file of the bundle has a precision's types: an FP16 flag needs none of its own, INT8 always its scales."""
    if precision == "int8" or (precision == "fp16" and target.tensorrt.precision_by == "graph"):
        return GRAPHS[precision]
    return MODEL


def _parse(data: bytes) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(data)
    return model


def _converted(exported: Exported, precision: str, crop_count: int, say: Callable[[str], None]) -> tuple[bytes, dict[str, Any]]:
    calibration: dict[str, Any] = {}
    if precision == "int8":
        crops = exported.training_crops(crop_count)
        say(f"export: int8 scales from {len(crops)} training crops")
        calibration = {
            "split": "train",
            "crops": len(crops),
            "crops_sha256": sha256_bytes(np.ascontiguousarray(np.stack(crops)).tobytes()),
            "dataset_fingerprint": exported.dataset_fingerprint,
        }
        model = to_qdq(exported.model, crops, exported.pixels)
    else:
        model = to_fp16(exported.model)
    data = model.SerializeToString(deterministic=True)
    apart = _read_back(exported, data, precision)
    say(f"export: the {precision} graph reads all {len(exported.golden.texts)} golden crops alike, difference ≤ {apart:.1e}")
    return data, calibration


def _read_back(exported: Exported, data: bytes, precision: str) -> float:
    """Read the golden crops with a converted graph; another string, or numbers too far apart, is a `StepFailed`."""
    golden = exported.golden
    found = OnnxSession(data, GRAPHS[precision]).run(exported.pixels.batch(list(golden.images)))
    for i, (reading, expected) in enumerate(zip(exported.decode(found), golden.texts, strict=True)):
        if reading.text != expected:
            problem = f"the {precision} graph reads {reading.text!r} on golden crop {i}, the fp32 one {expected!r}"
            raise StepFailed("export", problem, "plan for a higher precision")
    apart = float(difference(golden.logits, found).max())
    if apart > TOLERANCES[precision]:
        problem = f"the {precision} graph differs by {apart:.2e}, more than the {TOLERANCES[precision]:g} allowed"
        raise StepFailed("export", problem, "plan for a higher precision")
    return apart
