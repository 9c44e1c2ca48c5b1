"""An ONNX graph against what a target's TensorRT can run: coded findings at export, long before a device sees it.

`onnx_laws.py` says what every exported graph has to be; this says what one device makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from glyphyard.core.errors import StepFailed
from glyphyard.core.targets import Target

# What the accelerators of Xavier and Orin compute; the rest falls back to the GPU, with a copy each way.
ON_A_DLA = frozenset(
    (
        *("Conv", "ConvTranspose", "Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool"),
        *("Add", "Sub", "Mul", "Max", "Min", "Concat", "Gemm", "BatchNormalization", "Constant", "Flatten", "Identity"),
    )
)
WRONG_TYPES = {
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
    TensorProto.STRING: "string",
    TensorProto.COMPLEX64: "complex64",
}


class LintFinding(NamedTuple):
    """One finding: its code, whether it forbids the target ("error") or only costs ("warning"), and what was found."""

    code: str
    severity: str
    message: str

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


class _Case(NamedTuple):
    model: ModelProto
    target: Target
    dla: int | None


Rule = Callable[[_Case], Iterator[LintFinding]]


def _opset(case: _Case) -> Iterator[LintFinding]:
    for entry in case.model.opset_import:
        if entry.domain not in ("", "ai.onnx"):
            yield LintFinding("TRT01", "error", f"operators of {entry.domain}, which TensorRT has no parser for")
        elif entry.version > case.target.tensorrt.max_opset:
            yield LintFinding("TRT01", "error", f"opset {entry.version}, its parser reads up to {case.target.tensorrt.max_opset}")


def _ir(case: _Case) -> Iterator[LintFinding]:
    if case.model.ir_version > case.target.tensorrt.max_ir:
        message = f"IR {case.model.ir_version}, its parser was made for up to {case.target.tensorrt.max_ir}"
        yield LintFinding("TRT02", "warning", message)


def _operators(case: _Case) -> Iterator[LintFinding]:
    for kind in sorted({node.op_type for node in case.model.graph.node} & case.target.tensorrt.refused_operators):
        yield LintFinding("TRT03", "error", f"operator {kind}, which it cannot run")


def _lstm(case: _Case) -> Iterator[LintFinding]:
    constants = {weight.name for weight in case.model.graph.initializer}
    for node in _nodes(case.model, "LSTM", "GRU", "RNN"):
        settings = _settings(node)
        if settings.get("layout", 0) != case.target.tensorrt.lstm_layout:
            message = f"{_name(node)} has layout {settings['layout']}, it knows layout {case.target.tensorrt.lstm_layout} (time first) only"
            yield LintFinding("TRT04", "error", message)
        activations = list(settings.get("activations", ()))
        half = len(activations) // 2
        if settings.get("direction") == b"bidirectional" and activations[:half] != activations[half:]:
            yield LintFinding("TRT04", "error", f"{_name(node)} has other activations backwards than forwards")
        if settings.get("input_forget", 0):
            yield LintFinding("TRT04", "error", f"{_name(node)} couples input and forget gate")
        if loose := [name for name in node.input[1:4] if name and name not in constants]:
            yield LintFinding("TRT04", "error", f"{_name(node)} computes its weights {loose} at run time")


def _resize(case: _Case) -> Iterator[LintFinding]:
    for node in _nodes(case.model, "Resize", "Upsample"):
        settings = _settings(node)
        mode = settings.get("mode", b"nearest").decode()
        if mode not in case.target.tensorrt.resize_modes or settings.get("antialias", 0):
            yield LintFinding(
                "TRT05", "error", f"{_name(node)} resizes {mode}{' with antialiasing' if settings.get('antialias') else ''}"
            )


def _shapes(case: _Case) -> Iterator[LintFinding]:
    for value in case.model.graph.input:
        loose = [i for i, d in enumerate(value.type.tensor_type.shape.dim) if i and d.dim_value < 1]
        if loose:
            yield LintFinding("TRT06", "error", f"axes {loose} of input {value.name} are dynamic; only the batch may be")


def _types(case: _Case) -> Iterator[LintFinding]:
    used = {weight.data_type for weight in case.model.graph.initializer}
    used |= {value.type.tensor_type.elem_type for value in (*case.model.graph.input, *case.model.graph.output)}
    used |= {_settings(node)["to"] for node in _nodes(case.model, "Cast")}
    for kind in sorted(used & set(WRONG_TYPES)):
        yield LintFinding("TRT07", "error", f"tensors of {WRONG_TYPES[kind]}")


def _constants(case: _Case) -> Iterator[LintFinding]:
    known = {weight.name for weight in case.model.graph.initializer} | {n.output[0] for n in _nodes(case.model, "Constant")}
    needs = {"CumSum": (1, "axis"), "OneHot": (1, "depth"), "TopK": (1, "K"), "Slice": (3, "axes")}
    for node in _nodes(case.model, *needs):
        at, what = needs[node.op_type]
        if len(node.input) > at and node.input[at] and node.input[at] not in known:
            yield LintFinding("TRT08", "error", f"{_name(node)} has a computed {what}; it has to be constant")
    for node in _nodes(case.model, "ScatterND", "ScatterElements"):
        if _settings(node).get("reduction", b"none") != b"none":
            yield LintFinding("TRT08", "error", f"{_name(node)} reduces while it scatters")


def _top_k(case: _Case) -> Iterator[LintFinding]:
    for node in _nodes(case.model, "TopK"):
        k = _constant(case.model, node.input[1]) if len(node.input) > 1 else None
        if k is not None and k.size and int(k.max()) > (most := case.target.tensorrt.max_top_k):
            yield LintFinding("TRT11", "error", f"{_name(node)} takes the best {int(k.max())}, it can at most {most}")


def _grid_sample(case: _Case) -> Iterator[LintFinding]:
    if not any(_nodes(case.model, "GridSample")):
        return
    graph, wanted = shape_inference.infer_shapes(case.model).graph, case.target.tensorrt.grid_sample_rank
    known = [value for value in (*graph.input, *graph.value_info) if value.type.tensor_type.HasField("shape")]
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in known}
    ranks |= {weight.name: len(weight.dims) for weight in graph.initializer}
    for node in _nodes(case.model, "GridSample"):
        if (rank := ranks.get(node.input[0], wanted)) != wanted:
            yield LintFinding("TRT11", "error", f"{_name(node)} samples an input of {rank} axes, it can {wanted} only")


def _deform_conv(case: _Case) -> Iterator[LintFinding]:
    for node in _nodes(case.model, "DeformConv"):
        pads = list(_settings(node).get("pads", ()))
        if pads[: len(pads) // 2] != pads[len(pads) // 2 :]:
            yield LintFinding("TRT11", "error", f"{_name(node)} pads {pads}; begin and end of an axis have to be the same")


def _dla(case: _Case) -> Iterator[LintFinding]:
    if case.dla is not None:
        others = sorted({node.op_type for node in case.model.graph.node} - ON_A_DLA)
        if others:
            yield LintFinding("TRT09", "warning", f"the accelerator leaves {', '.join(others)} to the GPU, with copies between")


def _shape_arithmetic(case: _Case) -> Iterator[LintFinding]:
    computed = len(list(_nodes(case.model, "Shape", "ConstantOfShape", "Range")))
    if computed:
        yield LintFinding(
            "TRT10", "warning", f"{computed} nodes compute shapes at run time; a slimmer graph builds and runs quicker"
        )


def _nodes(model: ModelProto, *kinds: str) -> Iterator[NodeProto]:
    return (node for node in model.graph.node if node.op_type in kinds)


def _constant(model: ModelProto, name: str) -> np.ndarray | None:
    """Return what an initializer or a Constant node holds, None for what is computed."""
    for weight in model.graph.initializer:
        if weight.name == name:
            return numpy_helper.to_array(weight)
    made = next((n for n in _nodes(model, "Constant") if n.output[0] == name), None)
    values = [v for k, v in _settings(made).items() if k in ("value", "value_int", "value_ints")] if made else []
    return next((numpy_helper.to_array(v) if isinstance(v, TensorProto) else np.asarray(v) for v in values), None)


def _settings(node: NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _name(node: NodeProto) -> str:
    return node.name or node.output[0]


RULES: tuple[Rule, ...] = (
    *(_opset, _ir, _operators, _lstm, _resize, _shapes, _types, _constants, _top_k, _grid_sample, _deform_conv),
    *(_dla, _shape_arithmetic),
)


def lint(model: ModelProto, target: Target, dla: int | None = None) -> list[LintFinding]:
    """Return what a target's TensorRT has against a graph, the worst first."""
    findings = [finding for rule in RULES for finding in rule(_Case(model, target, dla))]
    return sorted(findings, key=lambda finding: (finding.severity, finding.code))


def refuse(findings: list[LintFinding], target: Target) -> None:
    """Raise a `StepFailed` for findings that forbid the target."""
    if errors := [str(finding) for finding in findings if finding.severity == "error"]:
        rest = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
        where = f"target {target.name} (TensorRT {target.tensorrt.series})"
        raise StepFailed(where, f"cannot run this ONNX: {'; '.join(errors[:3])}{rest}", "change the network or drop the target")
