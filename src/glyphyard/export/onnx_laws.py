"""What an exported graph has to be, as laws; a broken one is a `StepFailed`, long before a device sees the model.

They come from TensorRT 8.5–10.3 (JetPack 5 and 6) and ONNX Runtime: a known opset and IR, a batch that is dynamic by the
same name on both sides, static height and width, weights inside the file, time-major LSTMs with constant weights, and no
operator that TensorRT's parser refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from glyphyard.core.errors import StepFailed
from glyphyard.tasks.base import ExportSpec

MAX_IR = 10
REFUSED_OPERATORS = frozenset(
    [
        "If",
        "Loop",
        "Scan",
        "NonZero",
        "Unique",
        "DynamicQuantizeLinear",
        "MaxRoiPool",
        "DFT",
        "Det",
        "StringNormalizer",
        "SequenceConstruct",
        "SequenceAt",
        "SplitToSequence",
    ]
)
REFUSED_TYPES = {TensorProto.BFLOAT16: "bfloat16", TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16"}
Law = Callable[[ModelProto, ExportSpec, int], Iterator[str]]


def check_graph(model: ModelProto, spec: ExportSpec, opset: int) -> None:
    """Hold the model against every law; the first complaint of each is put into one line."""
    complaints = [complaint for law in LAWS for complaint in law(model, spec, opset)]
    if complaints:
        rest = f" (and {len(complaints) - 3} more)" if len(complaints) > 3 else ""
        raise StepFailed(
            "export", f"the ONNX graph is not deployable: {'; '.join(complaints[:3])}{rest}", "change the network's forward"
        )


def _valid(model: ModelProto, spec: ExportSpec, opset: int) -> Iterator[str]:
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's and the shape inference's errors have no common base
        yield f"onnx.checker refuses it ({str(error).splitlines()[0][:160]})"


def _versions(model: ModelProto, spec: ExportSpec, opset: int) -> Iterator[str]:
    found = {o.domain or "ai.onnx": o.version for o in model.opset_import}
    if found != {"ai.onnx": opset}:
        yield f"expected opset {opset} of ai.onnx alone, found {found}"
    if model.ir_version > MAX_IR:
        yield f"expected IR ≤ {MAX_IR}, found {model.ir_version}"


def _signature(model: ModelProto, spec: ExportSpec, opset: int) -> Iterator[str]:
    batches: dict[str, str] = {}
    for values, names, side in (
        (model.graph.input, spec.input_names, "inputs"),
        (model.graph.output, spec.output_names, "outputs"),
    ):
        if [v.name for v in values] != list(names):
            yield f"expected {side} {list(names)}, found {[v.name for v in values]}"
        for value in values:
            yield from _dimensions(value, spec.batch_axes.get(value.name, -1), batches)
    if len(batches) != len(spec.batch_axes) or len(set(batches.values())) != 1:
        yield f"expected one dynamic batch in {list(spec.batch_axes)}, found {batches or 'none'}"


def _dimensions(value: ValueInfoProto, batch_axis: int, batches: dict[str, str]) -> Iterator[str]:
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        yield f"{value.name} is not float32"
    for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
        if axis == batch_axis and dimension.dim_param:
            batches[value.name] = dimension.dim_param
        elif axis == batch_axis:
            yield f"the batch of {value.name} (axis {axis}) was frozen to {dimension.dim_value}"
        elif dimension.dim_value < 1:
            yield f"axis {axis} of {value.name} is not static"


def _self_contained(model: ModelProto, spec: ExportSpec, opset: int) -> Iterator[str]:
    for weight in model.graph.initializer:
        if weight.data_location == TensorProto.EXTERNAL or weight.external_data:
            yield f"weight {weight.name} lies in another file"
        if weight.data_type in REFUSED_TYPES:
            yield f"weight {weight.name} is {REFUSED_TYPES[weight.data_type]}, expected float32"


def _operators(model: ModelProto, spec: ExportSpec, opset: int) -> Iterator[str]:
    constants = {weight.name for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type in REFUSED_OPERATORS:
            yield f"TensorRT has no {node.domain + '.' if node.domain else ''}{node.op_type} ({node.name})"
        if node.op_type == "LSTM":
            yield from _lstm(node, constants)
        if node.op_type == "Resize":
            yield from _resize(node)
        if node.op_type == "CumSum" and node.input[1] not in constants:
            yield f"{node.name}: the axis of a CumSum has to be constant"


def _lstm(node: NodeProto, constants: set[str]) -> Iterator[str]:
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if settings.get("layout", 0) != 0:
        yield f"{node.name}: TensorRT knows time-major LSTMs (layout 0) only"
    if settings.get("input_forget", 0) != 0:
        yield f"{node.name}: TensorRT has no input_forget"
    if loose := [name for name in node.input[1:4] if name and name not in constants]:
        yield f"{node.name}: weights {loose} are computed at run time, expected constants"


def _resize(node: NodeProto) -> Iterator[str]:
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if settings.get("mode", b"nearest") not in (b"nearest", b"linear") or settings.get("antialias", 0):
        yield f"{node.name}: TensorRT resizes nearest or linear, without antialiasing"


LAWS: tuple[Law, ...] = (_valid, _versions, _signature, _self_contained, _operators)
