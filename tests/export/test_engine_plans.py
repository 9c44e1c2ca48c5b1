"""Plans for devices: a graph that a device could not run never gets one, and another precision reads what fp32 reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from handmade import ALPHABET, GREY_STEP, PIXELS, STEP_PX, STEPS, drawn
from onnx import ModelProto, TensorProto, helper, numpy_helper

from glyphyard.core.ctc import greedy_decode
from glyphyard.core.errors import StepFailed
from glyphyard.core.targets import TARGETS
from glyphyard.edge.bundle import Golden
from glyphyard.edge.session import OnnxSession
from glyphyard.export.engine_plans import Exported, target_files
from glyphyard.export.lint import lint, refuse
from glyphyard.recipe.run import ExportConfig

TEXTS = ["AB12CD", "99XYZ", "KX42ZQ", ""]
SHARPNESS = 900.0  # of differences of grey in [0, 1], squared


def convolving_reader(**node_changes: Any) -> ModelProto:
    """Return a reader of stripes whose mean is a convolution, as a network for INT8 has."""
    greys = np.arange(ALPHABET.num_classes, dtype=np.float32) * GREY_STEP / 255
    weights = {
        "mean": np.full((1, 1, 32, STEP_PX), 1 / (32 * STEP_PX), np.float32),
        "greys": greys.reshape(1, 1, -1),
        "scale": np.float32(-SHARPNESS),
        "axes": np.array([2], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["input", "mean"], ["blocks"], "/conv", strides=[32, STEP_PX]),
        helper.make_node("Squeeze", ["blocks", "axes"], ["row"], "/squeeze"),
        helper.make_node("Transpose", ["row"], ["column"], "/transpose", perm=[2, 0, 1]),
        helper.make_node("Sub", ["column", "greys"], ["off"], "/sub"),
        helper.make_node("Mul", ["off", "off"], ["squared"], "/square"),
        helper.make_node("Mul", ["squared", "scale"], ["scores"], "/scale"),
        helper.make_node("LogSoftmax", ["scores"], ["output"], "/logsoftmax", axis=2),
    ]
    return _model(nodes, weights, "input", [STEPS, "batch", ALPHABET.num_classes], **node_changes)


def _model(
    nodes: list[Any], weights: dict[str, np.ndarray], start: str, output: list[Any], opset: int = 17, ir: int = 8
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info(start, TensorProto.FLOAT, ["batch", 1, 32, 128])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def exported(crops: Callable[[int], Sequence[np.ndarray]] | None = None) -> Exported:
    model = convolving_reader()
    images = [drawn(text) for text in TEXTS]
    logits = OnnxSession(model.SerializeToString(), "model.onnx").run(PIXELS.batch(images))
    texts = [reading.text for reading in greedy_decode(logits, ALPHABET)]
    assert texts == TEXTS
    asked: list[int] = []

    def training(count: int) -> Sequence[np.ndarray]:
        asked.append(count)
        return [drawn(text) for text in ("0A1B2C3D", "ZYXWVU", "PQRST", "89")] * (count // 4)

    golden = Golden(np.stack(images), texts, logits)
    return Exported(model, golden, PIXELS, lambda found: greedy_decode(found, ALPHABET), crops or training, "f" * 16)


def plans(targets: list[dict[str, Any]], given: Exported | None = None, **config: Any) -> tuple[dict[str, bytes], list[str]]:
    said: list[str] = []
    files = target_files(
        given or exported(), ExportConfig.model_validate({"opset": 17, "targets": targets} | config), said.append
    )
    return files, said


def test_a_flag_needs_no_graph_of_its_own_and_the_logarithm_stays_in_fp32() -> None:
    files, _ = plans(
        [{"name": "orin_nx_jp62", "batch": {"min": 1, "opt": 4, "max": 16}, "workspace_mb": 99}, {"name": "xavier_nx_jp51"}]
    )
    assert set(files) == {"targets/orin_nx_jp62.json", "targets/xavier_nx_jp51.json"}
    plan = json.loads(files["targets/orin_nx_jp62.json"])
    assert (plan["precision"], plan["onnx"], plan["batch"], plan["workspace_mb"]) == ("fp16", "model.onnx", [1, 4, 16], 99)
    assert plan["keep_fp32"] == ["/logsoftmax"]
    assert json.loads(files["targets/xavier_nx_jp51.json"])["tensorrt"] == "8.5"


def test_a_strongly_typed_target_gets_a_graph_in_half_precision_that_reads_alike() -> None:
    files, said = plans([{"name": "x86_trt11"}])
    assert set(files) == {"targets/x86_trt11.json", "targets/model_fp16.onnx"}
    plan = json.loads(files["targets/x86_trt11.json"])
    assert (plan["precision"], plan["onnx"], plan["keep_fp32"]) == ("fp16", "targets/model_fp16.onnx", [])
    model = onnx.load_from_string(files["targets/model_fp16.onnx"])
    kinds = {w.name: w.data_type for w in model.graph.initializer}
    assert kinds["greys"] == TensorProto.FLOAT16
    assert {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)} == {TensorProto.FLOAT}
    assert any("fp16" in line and "alike" in line for line in said)


def test_int8_takes_its_scales_from_training_crops_and_says_so() -> None:
    files, _ = plans(
        [
            {"name": "orin_nx_jp62", "precision": "int8", "calibration": 32},
            {"name": "x86_trt11", "precision": "int8", "calibration": 32},
        ]
    )
    plan = json.loads(files["targets/orin_nx_jp62.json"])
    assert plan["onnx"] == "targets/model_int8.onnx"
    assert {"split": "train", "crops": 32, "dataset_fingerprint": "f" * 16}.items() <= plan["calibration"].items()
    model = onnx.load_from_string(files["targets/model_int8.onnx"])
    zeros = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    quantised = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(quantised) == 4
    assert all(not zeros[node.input[2]].any() and zeros[node.input[2]].dtype == np.int8 for node in quantised)
    assert {"LogSoftmax", "Conv"} <= {node.op_type for node in model.graph.node}


def test_int8_targets_share_one_graph_from_the_most_crops_that_any_of_them_wants() -> None:
    for few, many in ((16, 64), (64, 16)):
        files, _ = plans(
            [
                {"name": "orin_nx_jp62", "precision": "int8", "calibration": few},
                {"name": "thor_jp7", "calibration": 512},
                {"name": "x86_trt11", "precision": "int8", "calibration": many},
            ]
        )
        found = [json.loads(files[f"targets/{name}.json"])["calibration"]["crops"] for name in ("orin_nx_jp62", "x86_trt11")]
        assert found == [64, 64]


def test_scales_that_spoil_the_reading_refuse_the_plan() -> None:
    black = exported(lambda count: [np.zeros((32, 128), np.uint8)] * count)
    with pytest.raises(StepFailed, match=r"int8 graph (reads|differs)"):
        plans([{"name": "orin_nx_jp62", "precision": "int8"}], black)


def broken(**changes: Any) -> ModelProto:
    """Return a small graph with one node, to be spoilt."""
    node = helper.make_node(changes.pop("kind"), changes.pop("inputs"), ["output"], "/spoilt", **changes.pop("settings", {}))
    weights = {"four": np.array([1, 1, 2, 2], np.float32), "w": np.zeros((1, 16, 128), np.float32), "one": np.array(1, np.int64)}
    return _model([node], weights | changes.pop("weights", {}), "input", ["a", "b", "c"], **changes)


SPOILT: dict[str, tuple[str, str, ModelProto]] = {
    "an opset too young": ("TRT01", "xavier_nx_jp51", broken(kind="Relu", inputs=["input"], opset=18)),
    "operators of nobody": ("TRT03", "xavier_nx_jp51", broken(kind="LayerNormalization", inputs=["input", "four"])),
    "control flow": ("TRT03", "orin_nx_jp62", broken(kind="NonZero", inputs=["input"])),
    "a batch-first LSTM": (
        "TRT04",
        "orin_nx_jp62",
        broken(kind="LSTM", inputs=["input", "w", "w"], settings={"hidden_size": 4, "layout": 1}),
    ),
    "other activations backwards": (
        "TRT04",
        "orin_nx_jp62",
        broken(
            kind="LSTM",
            inputs=["input", "w", "w"],
            settings={"direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Relu"]},
        ),
    ),
    "coupled gates": ("TRT04", "orin_nx_jp62", broken(kind="LSTM", inputs=["input", "w", "w"], settings={"input_forget": 1})),
    "weights at run time": ("TRT04", "orin_nx_jp62", broken(kind="LSTM", inputs=["input", "input", "w"])),
    "a cubic resize": ("TRT05", "orin_nx_jp62", broken(kind="Resize", inputs=["input", "", "four"], settings={"mode": "cubic"})),
    "antialiasing": (
        "TRT05",
        "orin_nx_jp62",
        broken(kind="Resize", inputs=["input", "", "four"], settings={"mode": "linear", "antialias": 1}),
    ),
    "doubles": ("TRT07", "orin_nx_jp62", broken(kind="Mul", inputs=["input", "d"], weights={"d": np.zeros(1)})),
    "a computed axis": ("TRT08", "orin_nx_jp62", broken(kind="CumSum", inputs=["input", "input"])),
    "a computed K": ("TRT08", "orin_nx_jp62", broken(kind="TopK", inputs=["input", "input"])),
    "a reducing scatter": (
        "TRT08",
        "orin_nx_jp62",
        broken(kind="ScatterND", inputs=["input", "one", "four"], settings={"reduction": "add"}),
    ),
}


def made_by_a_node(k: int) -> ModelProto:
    """Return a TopK whose K comes from a Constant node, as PyTorch exports it."""
    model = broken(kind="TopK", inputs=["input", "k"])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.array([k], np.int64))))
    return model


def top_k(k: int) -> ModelProto:
    return broken(kind="TopK", inputs=["input", "k"], weights={"k": np.array([k], np.int64)})


def grid_sample(*spatial: int) -> ModelProto:
    grid = np.zeros((1, *spatial, len(spatial)), np.float32)
    return broken(
        kind="GridSample", inputs=["v", "grid"], weights={"v": np.zeros((1, 1, *spatial), np.float32), "grid": grid}, opset=20
    )


def reshaped_grid_sample(*spatial: int) -> ModelProto:
    """Return a GridSample of something whose rank only inference knows."""
    model, axes = grid_sample(*spatial), [1, 1, *spatial]
    model.graph.node[0].input[0] = "reshaped"
    model.graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), "axes"))
    model.graph.node.insert(0, helper.make_node("Reshape", ["v", "axes"], ["reshaped"]))
    return model


def deform_conv(*pads: int) -> ModelProto:
    return broken(kind="DeformConv", inputs=["input", "w", "w"], settings={"pads": list(pads)} if pads else {}, opset=19)


LIMITS: dict[str, tuple[ModelProto, ModelProto]] = {
    "K": (top_k(5000), top_k(3840)),
    "K of a node": (made_by_a_node(3841), made_by_a_node(5)),
    "axes of a grid": (grid_sample(2, 2, 2), grid_sample(2, 2)),
    "axes that are inferred": (reshaped_grid_sample(2, 2, 2), reshaped_grid_sample(2, 2)),
    "pads": (deform_conv(1, 1, 0, 1), deform_conv(1, 0, 1, 0)),
    "no pads": (deform_conv(1, 1, 0, 1), deform_conv()),
}


@pytest.mark.parametrize("target", ["orin_nx_jp62", "thor_jp7", "x86_trt11"])
@pytest.mark.parametrize("what", LIMITS)
def test_what_is_beyond_an_operators_limits_is_found_and_what_is_within_is_not(what: str, target: str) -> None:
    beyond, within = ([f.code for f in lint(model, TARGETS[target]) if f.severity == "error"] for model in LIMITS[what])
    assert (beyond, within) == (["TRT11"], [])


UNSUPPORTED = """AffineGrid BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im Compress ImageDecoder MaxUnpool
RegexFullMatch"""


@pytest.mark.parametrize("target", TARGETS)
def test_what_no_tensorrt_has_is_refused_everywhere(target: str) -> None:
    for kind in UNSUPPORTED.split():
        assert "TRT03" in {f.code for f in lint(broken(kind=kind, inputs=["input"]), TARGETS[target])}, kind


@pytest.mark.parametrize("what", SPOILT)
def test_what_a_device_cannot_run_is_found_by_its_code(what: str) -> None:
    code, target, model = SPOILT[what]
    findings = lint(model, TARGETS[target])
    assert code in {finding.code for finding in findings if finding.severity == "error"}
    with pytest.raises(StepFailed, match=rf"{target}.*\[{code}\]"):
        refuse([finding for finding in findings if finding.code == code], TARGETS[target])


def test_a_dynamic_width_is_found() -> None:
    model = convolving_reader()
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    assert [f.code for f in lint(model, TARGETS["orin_nx_jp62"])] == ["TRT06"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_plain_reader_suits_every_target(target: str) -> None:
    assert lint(convolving_reader(), TARGETS[target]) == []


def test_warnings_forbid_nothing_and_stand_in_the_plan() -> None:
    findings = lint(convolving_reader(ir=10), TARGETS["xavier_nx_jp51"], dla=1)
    assert [(f.code, f.severity) for f in findings] == [("TRT02", "warning"), ("TRT09", "warning")]
    refuse(findings, TARGETS["xavier_nx_jp51"])
    files, said = plans([{"name": "orin_nx_jp62", "dla": 0, "batch": {"min": 4, "opt": 4, "max": 4}}])
    plan = json.loads(files["targets/orin_nx_jp62.json"])
    assert plan["dla"] == 0
    assert any("TRT09" in finding for finding in plan["findings"])
    assert any("TRT09" in line for line in said)


def test_a_graph_that_a_target_refuses_stops_the_export() -> None:
    given = exported()
    given.model.opset_import[0].version = 18
    with pytest.raises(StepFailed, match="TRT01"):
        plans([{"name": "xavier_nx_jp51"}], given)
