"""The ONNX graph as devices want it: exported quietly, folded, without dead ends, the same bytes for the same weights."""

from __future__ import annotations

import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from glyphyard.core.errors import StepFailed
from glyphyard.tasks.base import ExportSpec

BATCH = "batch"  # the dynamic axis, by one name on every input and output
LSTM_INITIAL_STATES = (5, 6)  # positions of initial_h and initial_c among an LSTM's inputs; zeros when absent


def for_inference(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of the module on the CPU, in fp32 and evaluation mode; the original is left as it is."""
    return copy.deepcopy(module).cpu().float().eval().requires_grad_(False)


def export_onnx(spec: ExportSpec, opset: int) -> ModelProto:
    """Export a module (already `for_inference`) as a slim ONNX model in memory; torch's refusal is a `StepFailed`."""
    buffer = io.BytesIO()
    try:
        with _quiet(), torch.no_grad():
            # The older exporter on purpose: for BiLSTMs the newer one packs weights anew at run time, and below
            # opset 18 it falls back to another opset without a word.
            torch.onnx.export(
                spec.module,
                spec.example,
                buffer,  # type: ignore[arg-type]  # the older exporter writes to any buffer
                dynamo=False,
                opset_version=opset,
                input_names=list(spec.input_names),
                output_names=list(spec.output_names),
                dynamic_axes={name: {axis: BATCH} for name, axis in spec.batch_axes.items()},
                do_constant_folding=True,
                verbose=False,
            )
    except Exception as error:  # torch raises many kinds; each means that this module has no ONNX form
        raise StepFailed("export", f"torch cannot write this module as ONNX ({str(error).splitlines()[0][:200]})") from error
    return tidy(onnx.load_from_string(buffer.getvalue()))


def tidy(model: ModelProto) -> ModelProto:
    """Fold constants, drop zero initial LSTM states and all that fed only them, and take out names that vary."""
    import onnxslim

    _drop_zero_states(model.graph)
    with _quiet():
        model = onnxslim.slim(model)
    _drop_dead(model.graph)
    _stable_names(model.graph)
    _strip_notes(model)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep deprecation notes and exporter chatter off a user's screen; what matters is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxslim", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _drop_zero_states(graph: GraphProto) -> None:
    # A chain of Shape, Gather, Concat, ConstantOfShape and Slice says "zeros", which is what ONNX assumes anyway;
    # it costs time at batch 1 and is where TensorRT's LSTM import has tripped.
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "LSTM":
            continue
        for at in LSTM_INITIAL_STATES:
            if len(node.input) > at and _is_zeros(node.input[at], makers):
                node.input[at] = ""
        while node.input and not node.input[-1]:
            node.input.pop()


def _is_zeros(name: str, makers: dict[str, NodeProto]) -> bool:
    node = makers.get(name)
    while node is not None and node.op_type in ("Slice", "Identity", "Cast"):
        node = makers.get(node.input[0])
    if node is None or node.op_type != "ConstantOfShape":
        return False
    return all(not numpy_helper.to_array(a.t).any() for a in node.attribute if a.name == "value")


def _drop_dead(graph: GraphProto) -> None:
    while True:
        used = {name for node in _every_node(graph) for name in node.input} | {output.name for output in graph.output}
        dead = [node for node in graph.node if not used.intersection(node.output)]
        for node in dead:
            graph.node.remove(node)
        if not dead:
            break
    for weight in [w for w in graph.initializer if w.name not in used]:
        graph.initializer.remove(weight)


def _every_node(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield the nodes of a graph and of the graphs within it (the branches of an If), which see the outer one's names."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _every_node(attribute.g)


def _stable_names(graph: GraphProto) -> None:
    """Replace torch's running numbers ("onnx::LSTM_377") by the place of use ("/lstm/LSTM.1")."""
    renamed: dict[str, str] = {}
    weights_named = {weight.name for weight in graph.initializer}
    for node in _every_node(graph):
        for at, name in enumerate(node.input):
            if name in weights_named and re.match(r"onnx::|_v_\d", name) and name not in renamed:
                renamed[name] = f"{node.name or node.output[0]}.{at}"
            node.input[at] = renamed.get(name, name)
    for weight in graph.initializer:
        weight.name = renamed.get(weight.name, weight.name)
    weights = sorted(graph.initializer, key=lambda weight: weight.name)
    del graph.initializer[:]
    graph.initializer.extend(weights)


def _strip_notes(model: ModelProto) -> None:
    model.doc_string = model.graph.doc_string = ""
    model.graph.name = "glyphyard"
    del model.metadata_props[:], model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
