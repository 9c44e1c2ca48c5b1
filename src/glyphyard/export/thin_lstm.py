"""A trained stack of LSTMs with fewer units and no retraining: those go whose states the others can stand in for.

One after the other the unit goes whose state, as the best linear mix of the remaining ones, disturbs what reads it least; the
mix is folded into the weights that read it (the recurrent ones, the next layer's, the head's) and its mean into their biases.
The rule for which goes next is Optimal Brain Surgeon's (Hassibi and Stork, 1993), with a layer's state covariance as Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from glyphyard.edge.session import OnnxSession
from glyphyard.export.crops import on_all_cores

GATES = 4
RIDGE = 1e-6  # keeps the covariance of states that never change invertible
FORWARD_LAYOUT = [0, 2, 1, 3]  # (T, directions, N, H) → (T, N, directions, H)


@dataclass(frozen=True)
class Layer:
    """An LSTM and the constants that read its states: `readers` of (features, out), each with its bias, and the reshape."""

    lstm: NodeProto
    reshape: NodeProto
    reader: NodeProto
    bias: str  # the initializer that takes the mean of what is left out


@dataclass(frozen=True)
class Mix:
    """How all states of a direction come from the kept ones: states ≈ kept @ `matrix` (k,H) + `offset` (H)."""

    kept: np.ndarray
    matrix: np.ndarray
    offset: np.ndarray


def thin_lstms(model: ModelProto, batches_NCHW: Sequence[np.ndarray], units: int) -> ModelProto | None:
    """Return a copy whose LSTMs keep `units` units a direction; None where the graph is not a plain stack of LSTMs and a head.

    `batches_NCHW` are inputs to learn the states' covariance from, of training crops. Layers are thinned from the first on,
    each with the states that the thinned ones before it give.
    """
    thin = ModelProto()
    thin.CopyFrom(model)
    layers = stack_of(thin)
    if layers is None:
        return None
    for layer in layers:
        if units < _hidden(layer.lstm):
            _thin_layer(thin, layer, _states(thin, layer.lstm.output[0], batches_NCHW), units)
    return thin


def stack_of(model: ModelProto) -> list[Layer] | None:
    """Return the LSTMs in order with what reads each; None where one is read by anything but the next or a plain head."""
    graph, found = model.graph, []
    constants = {weight.name for weight in graph.initializer}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def only(name: str, *kinds: str) -> NodeProto | None:
        nodes = readers.get(name, [])
        return nodes[0] if len(nodes) == 1 and nodes[0].op_type in kinds else None

    for lstm in (node for node in graph.node if node.op_type == "LSTM"):
        rest = [name for name in lstm.output[1:] if readers.get(name)] + [name for name in lstm.input[4:] if name]
        swap = only(lstm.output[0], "Transpose")
        reshape = only(swap.output[0], "Reshape") if swap is not None else None
        reader = only(reshape.output[0], "LSTM", "MatMul") if reshape is not None else None
        if rest or len(lstm.input) < 4 or swap is None or reshape is None or reader is None or reshape.input[1] not in constants:
            return None
        if next((list(a.ints) for a in swap.attribute if a.name == "perm"), None) != FORWARD_LAYOUT:
            return None
        if reader.op_type == "LSTM":
            bias = reader.input[3] if len(reader.input) > 3 else ""
        else:
            add = only(reader.output[0], "Add")
            bias = next((name for name in add.input if name in constants), "") if add is not None else ""
        if not {*lstm.input[1:4], reader.input[1], bias} <= constants:
            return None
        found.append(Layer(lstm, reshape, reader, bias))
    return found or None


def stand_ins(states_SH: np.ndarray, readers_OH: np.ndarray, units: int) -> Mix:
    """Choose `units` of H units, and how the rest follow from them; `readers_OH` are all weights that read the states."""
    mean, hidden = states_SH.mean(0), states_SH.shape[1]
    covariance = np.cov(states_SH.T) + RIDGE * np.eye(hidden)
    inverse, weights, mixed = np.linalg.inv(covariance), readers_OH.astype(np.float64), np.eye(hidden)
    alive = np.ones(hidden, bool)
    while alive.sum() > units:
        left = np.flatnonzero(alive)
        harm = (weights[:, left] ** 2).sum(0) / np.diag(inverse)[left]
        gone = left[harm.argmin()]
        mix = np.where(alive, -inverse[gone] / inverse[gone, gone], 0.0)
        mix[gone] = 0.0
        weights += np.outer(weights[:, gone], mix)
        mixed += np.outer(mix, mixed[gone])
        inverse -= np.outer(inverse[:, gone], inverse[gone]) / inverse[gone, gone]
        weights[:, gone] = mixed[gone] = inverse[gone] = inverse[:, gone] = 0.0
        alive[gone] = False
    kept = np.flatnonzero(alive)
    return Mix(kept, mixed[kept], mean - mean[kept] @ mixed[kept])


def _thin_layer(model: ModelProto, layer: Layer, states_TDNH: np.ndarray, units: int) -> None:
    constants = {weight.name: weight for weight in model.graph.initializer}
    hidden, (W, R, B) = _hidden(layer.lstm), (_array(constants[name]) for name in layer.lstm.input[1:4])
    # What reads the states, as (readers, outputs, directions × H): one for each direction of a next layer, one for a head.
    stacked = _array(constants[layer.reader.input[1]])
    reads = stacked if layer.reader.op_type == "LSTM" else stacked.T[None]
    mixes, thinned = [], []
    for d in range(len(R)):
        own = slice(d * hidden, (d + 1) * hidden)
        mix = stand_ins(
            states_TDNH[:, d].reshape(-1, hidden).astype(np.float64), np.concatenate([R[d], *reads[:, :, own]]), units
        )
        rows = np.concatenate([gate * hidden + mix.kept for gate in range(GATES)])
        inner, outer = B[d][: GATES * hidden] + R[d] @ mix.offset, B[d][GATES * hidden :]
        thinned.append((W[d][rows], (R[d] @ mix.matrix.T)[rows], np.concatenate([inner[rows], outer[rows]])))
        mixes.append(mix)
    for name, parts in zip(layer.lstm.input[1:4], zip(*thinned, strict=True), strict=True):
        _put(constants[name], np.stack(parts))
    sides = np.split(reads, len(R), axis=2)
    folded = np.concatenate([side @ mix.matrix.T for side, mix in zip(sides, mixes, strict=True)], axis=2)
    means = sum(side @ mix.offset for side, mix in zip(sides, mixes, strict=True))
    bias = _array(constants[layer.bias])
    if layer.reader.op_type == "LSTM":
        _put(constants[layer.reader.input[1]], folded)
        bias[:, : means.shape[1]] += means
    else:
        _put(constants[layer.reader.input[1]], folded[0].T)
        bias += means[0]
    _put(constants[layer.bias], bias)
    _resize(model, layer, len(R) * units, units)


def _resize(model: ModelProto, layer: Layer, features: int, units: int) -> None:
    shape = next(weight for weight in model.graph.initializer if weight.name == layer.reshape.input[1])
    name = f"{layer.lstm.name}.thin"  # layers may share the constant
    model.graph.initializer.append(
        numpy_helper.from_array(np.array([*numpy_helper.to_array(shape)[:-1], features], np.int64), name)
    )
    layer.reshape.input[1] = name
    next(a for a in layer.lstm.attribute if a.name == "hidden_size").i = units


def _states(model: ModelProto, output: str, batches_NCHW: Sequence[np.ndarray]) -> np.ndarray:
    shown = ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    session, name = OnnxSession(shown.SerializeToString(), "model.onnx"), model.graph.input[0].name
    return np.concatenate(on_all_cores(lambda batch: session.run_all({name: batch})[output], batches_NCHW), axis=2)


def _hidden(lstm: NodeProto) -> int:
    return int(next(a.i for a in lstm.attribute if a.name == "hidden_size"))


def _array(weight: TensorProto) -> np.ndarray:
    return np.asarray(numpy_helper.to_array(weight), np.float64).copy()


def _put(weight: TensorProto, values: np.ndarray) -> None:
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), weight.name))
