"""The same graph in fp16, or with INT8 scales as Q/DQ nodes: for a TensorRT that takes its types from the ONNX alone."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from glyphyard.core.errors import StepFailed
from glyphyard.core.pixels import PixelContract

# A sum over a whole crop, its root and a logarithm of small numbers: what half precision rounds away is read by nobody else.
STAYS_FP32 = ("LogSoftmax", "Softmax", "ReduceMean", "Sqrt", "Pow", "Exp", "Log", "Div")
QUANTISED = ("Conv", "MatMul", "Gemm")  # TensorRT has no INT8 LSTM
CALIBRATION_BATCH = 16


def fp32_nodes(model: ModelProto) -> list[str]:
    """Return the names of nodes that a builder with an FP16 flag has to leave in fp32."""
    return [node.name for node in model.graph.node if node.op_type in STAYS_FP32 and node.name]


def to_fp16(model: ModelProto) -> ModelProto:
    """Return the graph with fp16 weights and activations, fp32 inputs and outputs, and the head's logarithm in fp32."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    copied = ModelProto()
    copied.CopyFrom(model)
    with _quiet():
        blocked = [*DEFAULT_OP_BLOCK_LIST, *STAYS_FP32]
        converted = OnnxModel(convert_float_to_float16(copied, keep_io_types=True, op_block_list=blocked))
        converted.topological_sort()  # the casts are appended at the end, which ONNX does not allow
    return _checked(converted.model, "fp16")


def to_qdq(model: ModelProto, crops: Sequence[np.ndarray], pixels: PixelContract) -> ModelProto:
    """Return the graph with symmetric INT8 Q/DQ nodes around its convolutions and matrix products.

    The scales are the ranges that `crops`, resized uint8 images of the training split, give.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    name = model.graph.input[0].name

    class Crops(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            starts = range(0, len(crops), CALIBRATION_BATCH)
            self._batches = iter([{name: pixels.batch(list(crops[i : i + CALIBRATION_BATCH]))} for i in starts])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory(prefix="glyphyard-int8-") as folder, _quiet():
        source, quantised = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model.SerializeToString())
        quantize_static(
            str(source),
            str(quantised),
            Crops(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # TensorRT takes zero points of 0 only, and fuses best with fp32 biases and with Q and DQ before each product alone.
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "AddQDQPairToWeight": True,
                "OpTypesToExcludeOutputQuantization": list(QUANTISED),
            },
        )
        return _checked(onnx.load(str(quantised)), "int8")


def _checked(model: ModelProto, precision: str) -> ModelProto:
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's and the shape inference's errors have no common base
        raise StepFailed("export", f"the {precision} graph is not valid ONNX ({str(error).splitlines()[0][:160]})") from error
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' chatter off a user's screen; what they make is checked afterwards."""
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
