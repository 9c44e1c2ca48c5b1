"""A stand-in for NVIDIA's trtexec: its banner, its options by version, its JSON, its way to fail; engines as fakes/tensorrt makes them.

Options that a version does not have end it with "Unknown option" and status 1, as sampleOptions.cpp does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import tensorrt as trt

COMMON = {
    "onnx",
    "saveEngine",
    "loadEngine",
    "minShapes",
    "optShapes",
    "maxShapes",
    "shapes",
    "memPoolSize",
    "timingCacheFile",
    "noTF32",
    "useDLACore",
    "allowGPUFallback",
    "loadInputs",
    "exportOutput",
    "exportTimes",
    "iterations",
    "warmUp",
    "duration",
    "avgRuns",
    "useCudaGraph",
    "noDataTransfers",
    "help",
}
WEAK = {"fp16", "int8", "best", "calib", "precisionConstraints", "layerPrecisions"}
BY_MAJOR = {
    8: COMMON | WEAK | {"buildOnly", "workspace", "explicitBatch"},
    10: COMMON | WEAK | {"skipInference", "buildOnly", "stronglyTyped", "builderOptimizationLevel"},
    11: COMMON | {"skipInference", "stronglyTyped", "builderOptimizationLevel", "noCudaGraph", "noSpinWait"},
}


def banner(word: str) -> str:
    major, minor, patch = (int(part) for part in trt.__version__.split(".")[:3])
    number = f"{major}{minor}{patch:02d}" if major < 10 else f"{major}{minor:02d}{patch:02d}"
    return f"&&&& {word} TensorRT.trtexec [TensorRT v{number}] # {' '.join(sys.argv)}"


class Said(trt.ILogger):
    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        print(f"[11/21/2026-03:00:00] [E] {msg}", file=sys.stderr)


def fail(message: str = "") -> int:
    if message:
        print(f"[11/21/2026-03:00:00] [E] {message}", file=sys.stderr)
    print(banner("FAILED"))
    return 1


def shape_of(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, dims = text.rpartition(":")
    return name, tuple(int(d) for d in dims.split("x"))


def build(options: dict[str, str]) -> bytes | None:
    logger = Said()
    builder = trt.Builder(logger)
    network, config = builder.create_network(1), builder.create_builder_config()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(Path(options["onnx"]).read_bytes()):
        logger.log(trt.ILogger.Severity.ERROR, parser.get_error(0))
        return None
    profile = builder.create_optimization_profile()
    shapes = [shape_of(options[f"{kind}Shapes"]) for kind in ("min", "opt", "max")]
    profile.set_shape(shapes[0][0], *(shape for _, shape in shapes))
    config.add_optimization_profile(profile)
    for option, flag in (("fp16", "FP16"), ("int8", "INT8"), ("allowGPUFallback", "GPU_FALLBACK")):
        if option in options:
            config.set_flag(getattr(trt.BuilderFlag, flag))
    kept = [pair.rpartition(":")[0] for pair in options.get("layerPrecisions", "").split(",") if pair.endswith(":fp32")]
    for layer in network.layers:
        if layer.name in kept and options.get("precisionConstraints") == "obey":
            layer.precision = trt.float32
    if "useDLACore" in options:
        config.default_device_type, config.DLA_core = trt.DeviceType.DLA, int(options["useDLACore"])
    cache = Path(options["timingCacheFile"]) if "timingCacheFile" in options else None
    config.set_timing_cache(config.create_timing_cache(cache.read_bytes() if cache and cache.is_file() else b""), False)
    engine = builder.build_serialized_network(network, config)
    if engine is not None and cache:
        cache.write_bytes(config.get_timing_cache().serialize())
    return engine


def run(options: dict[str, str]) -> int:
    logger = Said()
    engine = trt.Runtime(logger).deserialize_cuda_engine(Path(options["loadEngine"]).read_bytes())
    if engine is None:
        return fail("Engine deserialization failed")
    name, shape = shape_of(options["shapes"])
    context = engine.create_execution_context()
    if not context.set_input_shape(name, shape):
        return fail("Static dimension mismatch while setting input shape.")
    driver = trt.fake_driver.Driver()
    driver.cuCtxSetCurrent(trt.fake_driver.ctypes.c_void_p(1))
    result_shape = context.get_tensor_shape(engine.names[1])
    for tensor, dims in ((name, shape), (engine.names[1], result_shape)):
        address = trt.fake_driver.ctypes.c_void_p()
        driver.cuMemAlloc_v2(trt.fake_driver.ctypes.byref(address), trt.fake_driver.ctypes.c_size_t(4 * int(np.prod(dims))))
        context.set_tensor_address(tensor, address.value)
    addresses = context._addresses
    given = np.random.default_rng(0).random(shape, dtype=np.float32)
    if "loadInputs" in options:
        _, _, path = options["loadInputs"].partition(":")
        given = np.fromfile(path, dtype=np.float32).reshape(shape)
    trt.fake_driver.view(addresses[name], shape)[...] = given
    times = []
    for _ in range(int(options.get("iterations", "10"))):
        started = time.perf_counter()
        context.execute_async_v3(0)
        times.append((time.perf_counter() - started) * 1e3)
    if "exportOutput" in options:
        values = trt.fake_driver.view(addresses[engine.names[1]], result_shape)
        numbers = ", ".join(f"{v:g}" for v in values.ravel())
        dims = "x".join(map(str, result_shape))
        text = f'[\n  {{ "name" : "{engine.names[1]}"\n  , "dimensions" : "{dims}"\n  , "values" : [ {numbers} ]\n  }}\n]\n'
        Path(options["exportOutput"]).write_text(text)
    if "exportTimes" in options:
        rows = [{"startComputeMs": 0.0, "h2dMs": 0.01, "computeMs": t, "d2hMs": 0.01, "latencyMs": t + 0.02} for t in times]
        Path(options["exportTimes"]).write_text(json.dumps(rows))
    return 0


def main() -> int:
    print(banner("RUNNING"))
    options: dict[str, str] = {}
    for argument in sys.argv[1:]:
        name, _, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in BY_MAJOR[trt.MAJOR]:
            return fail(f"Unknown option: {argument}")
        options[name] = value
    if "help" in options:
        print("=== Model Options ===")
        return 0
    if os.environ.get("FAKE_TRTEXEC_HANGS"):
        time.sleep(60)
    if "onnx" in options:
        engine = build(options)
        if engine is None:
            return fail("Engine could not be created from network")
        Path(options["saveEngine"]).write_bytes(engine)
    else:
        if status := run(options):
            return status
    print(banner("PASSED"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
