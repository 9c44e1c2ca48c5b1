"""ONNX + plan → engine, with TensorRT's Python API as 8.5, 10.x and 11.x have it in common, and where they differ."""

from __future__ import annotations

from typing import Any

from glyphyard.core.errors import StepFailed
from glyphyard.core.targets import TensorRt
from glyphyard.edge.native import logger_of, tensorrt
from glyphyard.edge.plan import BuildPlan

MiB = 1 << 20


def build_with_python(onnx: bytes, plan: BuildPlan, rules: TensorRt, timing_cache: bytes) -> tuple[bytes, bytes]:
    """Return the serialised engine and the grown timing cache; whatever TensorRT refuses is a `StepFailed` in its words."""
    trt = tensorrt()
    logger = logger_of(trt)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt, rules))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        said = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise StepFailed(f"engine for {plan.target}", f"TensorRT's parser refuses the ONNX ({' '.join(said.split())[:400]})", "")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, plan.workspace_mb * MiB)
    _set_precision(trt, config, network, plan, rules)
    if plan.dla is not None:
        config.default_device_type, config.DLA_core = trt.DeviceType.DLA, plan.dla
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)  # no DLA has an LSTM
    profile = builder.create_optimization_profile()
    profile.set_shape(plan.input, *(tuple(shape) for shape in plan.shapes()))
    config.add_optimization_profile(profile)
    cache = config.create_timing_cache(timing_cache)
    config.set_timing_cache(cache, ignore_mismatch=False)
    built = builder.build_serialized_network(network, config)
    if built is None:
        said = "; ".join(logger.errors[-3:]) or "TensorRT does not say why"
        raise StepFailed(f"engine for {plan.target}", f"TensorRT cannot build it ({said[:400]})", "")
    return bytes(built), bytes(config.get_timing_cache().serialize())


def _network_flags(trt: Any, rules: TensorRt) -> int:
    # Before 10 a network is implicit unless it says otherwise; 10 ignores the flag and 11 has lost it.
    return 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if rules.explicit_batch else 0


def _set_precision(trt: Any, config: Any, network: Any, plan: BuildPlan, rules: TensorRt) -> None:
    if plan.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and no fp32
        return
    if rules.precision_by == "graph":
        return  # the ONNX says it; the flags are gone
    config.set_flag(trt.BuilderFlag.FP16)
    if plan.precision == "int8":
        config.set_flag(trt.BuilderFlag.INT8)  # the scales stand in the ONNX as Q/DQ
    if plan.keep_fp32:
        config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        for layer in (network.get_layer(i) for i in range(network.num_layers)):
            # The parser names a layer after its ONNX node; one node may become several layers.
            if layer.name.startswith(tuple(plan.keep_fp32)):
                layer.precision = trt.float32
                for i in range(layer.num_outputs):
                    layer.set_output_type(i, trt.float32)
