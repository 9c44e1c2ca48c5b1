"""model.onnx → model_pixels.onnx: int8 LSTMs, with fewer units where the readings stay, for CPUs that would wait for fp32 weights.

At batch 1 an LSTM reads all its recurrent weights once a time step. In fp32 those of 256 units are 1 MiB a direction and do not
stay in a core's second-level cache; in int8 they do. Convolutions are left alone: int8 ones were measured to read otherwise,
and to be no quicker. The scales of activations need no crops: ONNX Runtime finds them as they come. What Python would do with
NumPy before and after the network, the graph does itself (`for_pixels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from glyphyard.core.agreement import difference
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest
from glyphyard.edge.bundle import Golden
from glyphyard.edge.manifest import CPU_MODEL, STEP_IDS, STEP_PROBABILITIES
from glyphyard.edge.session import CPU_TOLERANCE, OnnxSession
from glyphyard.export.crops import Show, batches_of, on_all_cores, spread_crops
from glyphyard.export.parity import Runner
from glyphyard.export.thin_lstm import thin_lstms
from glyphyard.recipe.run import ExportConfig

MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators
# Seven bits of eight: on x86 without VNNI two products of unsigned and signed bytes are added in 16 bits, which eight would
# overflow. So every processor computes the same integers as the one that was measured.
LARGEST = 63
WEIGHTS, RECURRENT = 1, 2  # positions among an LSTM's inputs
OPTIONAL_INPUTS = 8  # of an LSTM; scales and zero points come after them
THINNER = (0.5, 0.625, 0.75)  # of an LSTM's units, tried in this order
SPLITS = {"validation": 800, "train": 1600}  # the most crops of each; test rows are never looked at


@dataclass(frozen=True)
class CpuFile:
    """What goes into the bundle for CPUs: the file by its name, or none, and what was measured for bundle.json."""

    files: dict[str, bytes] = field(default_factory=dict)
    noted: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Crops:
    """Resized crops (H,W) or (H,W,3) uint8: `fit` of the training split to learn from, `judge` others to compare readings on."""

    fit: list[np.ndarray]
    judge: list[np.ndarray]


def known_crops(dataset: Path, manifest: DatasetManifest, pixels: PixelContract, show: Show | None = None) -> Crops:
    """Return crops of the training split to learn from, and others of it and of the validation split to judge by."""
    found = {
        name: spread_crops(dataset, manifest, pixels, count, splits=(name,), show=show)
        for name, count in SPLITS.items()
        if name in manifest.splits and manifest.splits[name].rows
    }
    train = found.get("train", [])
    return Crops(train[::2], found.get("validation", []) + train[1::2])


def cpu_file(
    model: ModelProto,
    fp32: Runner,
    golden: Golden,
    known: Callable[[], Crops],
    pixels: PixelContract,
    decode: Callable[[np.ndarray], list[Reading]],
    config: ExportConfig,
    say: Callable[[str], None] = print,
) -> CpuFile:
    """Return the file for CPUs if the recipe wants one, the graph has an LSTM, and it reads as fp32 does; say why not otherwise.

    All golden crops have to be read alike, with numbers within `edge.session.CPU_TOLERANCE`; of the crops to judge by at most
    the share `config.cpu_changed` may be read otherwise than `fp32` reads them. Of the thinned graphs that hold the one with
    the fewest units is taken, of none the whole one in int8.
    """
    sizes = [a.i for node in model.graph.node if node.op_type == "LSTM" for a in node.attribute if a.name == "hidden_size"]
    if config.cpu == "fp32" or not sizes:
        return CpuFile()
    crops = known()
    judged = batches_of(crops.judge, pixels)
    expected = [reading.text for logits in on_all_cores(fp32, judged) for reading in decode(logits)]
    told = "there is no crop to judge it by"
    for units in _widths(max(sizes), config, len(crops.fit)):
        graph = model if units >= max(sizes) else thin_lstms(model, batches_of(crops.fit, pixels), units)
        if graph is None or not expected:
            continue
        data = for_pixels(int8_lstms(graph)).SerializeToString(deterministic=True)
        try:
            run = OnnxSession(data, CPU_MODEL).run
        except BadInput as error:
            told = error.problem
            break
        texts = [reading.text for logits in on_all_cores(run, judged) for reading in decode(logits)]
        changed = sum(a != b for a, b in zip(texts, expected, strict=True))
        found = run(pixels.batch(list(golden.images)))
        apart = float(difference(golden.logits, found).max())
        alike = [reading.text for reading in decode(found)] == golden.texts
        told = f"reads {changed} of {len(texts)} crops otherwise than fp32, golden numbers differ by ≤ {apart:.2g}"
        if alike and apart <= CPU_TOLERANCE and changed <= config.cpu_changed * len(texts):
            say(f"export: int8 file for CPUs, {units} of {max(sizes)} LSTM units: {told}")
            noted = {"units": units, "compared": len(texts), "changed": changed, "max_abs_difference": apart}
            return CpuFile({CPU_MODEL: data}, noted)
    say(f"export: no file for CPUs: {told} (allowed: {config.cpu_changed:.1%}, no golden one, {CPU_TOLERANCE:g})")
    return CpuFile()


def _widths(hidden: int, config: ExportConfig, fit: int) -> list[int]:
    """Return the numbers of units to try, the fewest first; thinning needs more states than units to learn from."""
    thinner = {int(hidden * share) for share in THINNER} if config.cpu == "thin" and fit >= hidden else set()
    return sorted(thinner | {hidden})


def int8_lstms(model: ModelProto) -> ModelProto:
    """Return a copy whose LSTMs are ONNX Runtime's DynamicQuantizeLSTM with symmetric int8 weights; all else stays fp32.

    What meets the input has one scale a column, what meets the hidden state one a direction: a scale a column there costs a
    tenth of the time.
    """
    copied = ModelProto()
    copied.CopyFrom(model)
    weights = {weight.name: numpy_helper.to_array(weight) for weight in copied.graph.initializer}
    lstms = [node for node in copied.graph.node if node.op_type == "LSTM"]
    for node in lstms:
        made = [
            quantised(weights[node.input[WEIGHTS]], axis=(1,)),
            quantised(weights[node.input[RECURRENT]], axis=(1, 2)),
        ]
        copied.graph.initializer.extend(_replace(node, made))
    used = {name for node in copied.graph.node for name in node.input}
    kept = [weight for weight in copied.graph.initializer if weight.name in used]
    del copied.graph.initializer[:]
    copied.graph.initializer.extend(kept)
    if lstms:
        copied.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return copied


def for_pixels(model: ModelProto) -> ModelProto:
    """Return a copy that takes uint8 pixels and says each step's best class and its probability beside the log-probabilities."""
    copied = ModelProto()
    copied.CopyFrom(model)
    graph = copied.graph
    pixels, log_probs = graph.input[0], graph.output[0].name
    floats, scaled, best = (f"{pixels.name}.float", f"{pixels.name}.scaled", f"{log_probs}.best")
    for node in graph.node:
        node.input[:] = [scaled if name == pixels.name else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array(255, np.float32), "white"))
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    graph.node.insert(0, helper.make_node("Cast", [pixels.name], [floats], to=TensorProto.FLOAT))
    graph.node.insert(1, helper.make_node("Div", [floats, "white"], [scaled]))
    graph.node.append(helper.make_node("TopK", [log_probs, "one"], [best, STEP_IDS], axis=-1))
    graph.node.append(helper.make_node("Exp", [best], [STEP_PROBABILITIES]))
    pixels.type.tensor_type.elem_type = TensorProto.UINT8
    axes: list[str | int | None] = ["time", "batch", 1]
    graph.output.append(helper.make_tensor_value_info(STEP_IDS, TensorProto.INT64, axes))
    graph.output.append(helper.make_tensor_value_info(STEP_PROBABILITIES, TensorProto.FLOAT, axes))
    return copied


def quantised(weight_DGI: np.ndarray, axis: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (directions, gates, inputs) as int8 (directions, inputs, gates), and scales with `axis` reduced away."""
    weight_DIG = np.ascontiguousarray(weight_DGI.transpose(0, 2, 1))
    largest = np.abs(weight_DIG).max(axis=axis, keepdims=True)
    scale = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    return np.rint(weight_DIG / scale).astype(np.int8), scale.squeeze(axis)


def _replace(node: NodeProto, made: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[TensorProto]:
    """Turn an LSTM into its int8 form in place and return the constants that it needs."""
    constants: list[TensorProto] = []
    behind: list[str] = []
    called = node.name or node.output[0]
    for at, (values, scale) in zip((WEIGHTS, RECURRENT), made, strict=True):
        names = [f"{called}.{at}.{part}" for part in ("int8", "scale", "zero")]
        # ONNX Runtime up to 1.23 looks for a zero a column, even where there is one scale a direction, and reads beyond the end.
        arrays = (values, scale, np.zeros((len(values), values.shape[-1]), np.int8))
        constants += [numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True)]
        node.input[at] = names[0]
        behind += names[1:]
    node.input.extend([""] * (OPTIONAL_INPUTS - len(node.input)))
    node.input.extend(behind)
    node.op_type, node.domain = "DynamicQuantizeLSTM", MICROSOFT
    return constants
