"""A stand-in for NVIDIA's `tensorrt` module, written from its documented Python API: builds "engines" that ONNX Runtime runs.

It behaves as 8.5, 10.x or 11.x, as FAKE_TENSORRT_VERSION says (10.3.0 when unset): what a version has lost is not there, what
it refuses is refused in its way (None, False and messages to the logger, as the real one, not exceptions). FP16 is real
half precision; an engine runs only with the version and on the GPU that built it; a context that two threads use at once fails.

FAKE_TENSORRT_WRONG_BATCH=3: batches of 3 come out rotated, as exported LSTMs have. FAKE_TENSORRT_NO_MEMORY=1: no build.
FAKE_TENSORRT_MACHINE=aarch64: the machine says so. Importing it puts a fake CUDA driver into ctypes (fake_driver.py).
"""

from __future__ import annotations

import json
import os
import platform
import threading
from enum import Enum, IntEnum
from typing import Any

import numpy as np

from . import fake_driver

__version__ = os.environ.get("FAKE_TENSORRT_VERSION", "10.3.0")
MAJOR = int(__version__.split(".")[0])
MAX_OPSET = {8: 17, 10: 20, 11: 24}[MAJOR]
MAGIC = b"ftrt"

if os.environ.get("FAKE_TENSORRT_MACHINE"):
    platform.machine = lambda: os.environ["FAKE_TENSORRT_MACHINE"]
fake_driver.install()


class DataType(Enum):
    FLOAT = "float32"
    HALF = "float16"


float32, float16 = DataType.FLOAT, DataType.HALF


def nptype(kind: DataType) -> type:
    return np.dtype(kind.value).type


class TensorIOMode(Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class DeviceType(IntEnum):
    GPU = 0
    DLA = 1


if MAJOR == 11:
    BuilderFlag = IntEnum("BuilderFlag", ["DEBUG", "GPU_FALLBACK", "REFIT", "TF32"])
    NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", ["STRONGLY_TYPED"])
else:
    _flags = [
        "FP16",
        "INT8",
        "DEBUG",
        "GPU_FALLBACK",
        "REFIT",
        "TF32",
        "OBEY_PRECISION_CONSTRAINTS",
        "PREFER_PRECISION_CONSTRAINTS",
    ]
    BuilderFlag = IntEnum("BuilderFlag", _flags, start=0)
    NetworkDefinitionCreationFlag = IntEnum(
        "NetworkDefinitionCreationFlag", ["EXPLICIT_BATCH", "STRONGLY_TYPED"] if MAJOR >= 10 else ["EXPLICIT_BATCH"], start=0
    )


class ILogger:
    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self) -> None:
        self._ready = True

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class Logger(ILogger):
    def __init__(self, min_severity: ILogger.Severity = ILogger.Severity.WARNING) -> None:
        super().__init__()

    def log(self, severity: ILogger.Severity, msg: str) -> None:
        print(f"[TRT] {msg}")


def _error(logger: ILogger, message: str) -> None:
    assert logger._ready, "a logger's base has to be initialised"
    logger.log(ILogger.Severity.ERROR, message)


class ILayer:
    def __init__(self, name: str, outputs: int) -> None:
        self.name, self.num_outputs, self.kept = name, outputs, False
        self._precision: DataType | None = None

    @property
    def precision(self) -> DataType | None:
        return self._precision

    @precision.setter
    def precision(self, kind: DataType) -> None:
        self._precision, self.kept = kind, kind is float32

    def set_output_type(self, index: int, kind: DataType) -> None:
        assert 0 <= index < self.num_outputs


class INetworkDefinition:
    def __init__(self, flags: int) -> None:
        self.explicit = MAJOR >= 10 or bool(flags & 1)
        self.model: Any = None
        self.layers: list[ILayer] = []

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> ILayer:
        return self.layers[index]


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network, self._errors = network, []

    def parse(self, model: bytes) -> bool:
        import onnx

        try:
            parsed = onnx.load_from_string(model)
        except Exception:
            self._errors.append("In node -1 (parse): MODEL_DESERIALIZE_FAILED")
            return False
        if not self._network.explicit:
            self._errors.append("This version of the ONNX parser only supports networks with an explicit batch dimension")
        if any(entry.version > MAX_OPSET for entry in parsed.opset_import if not entry.domain):
            self._errors.append(f"UNSUPPORTED_GRAPH: opset above {MAX_OPSET}")
        for i, node in enumerate(parsed.graph.node):
            settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "LSTM" and settings.get("layout", 0):
                self._errors.append(
                    f"In node {i} with name: {node.name} and operator: LSTM (importLSTM): UNSUPPORTED_NODE layout"
                )
        self._network.model = parsed
        self._network.layers = [ILayer(f"{node.name or node.op_type}", len(node.output)) for node in parsed.graph.node]
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]


class IOptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        self.shapes[input] = [tuple(min), tuple(opt), tuple(max)]


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self.data = bytes(data)

    def serialize(self) -> bytes:
        return self.data


class IBuilderConfig:
    def __init__(self) -> None:
        self.flags = {BuilderFlag.TF32}
        self.profiles: list[IOptimizationProfile] = []
        self.pools: dict[Any, int] = {}
        self.cache: ITimingCache | None = None
        self.default_device_type, self.DLA_core = DeviceType.GPU, -1

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        self.pools[pool] = size

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, data: bytes) -> ITimingCache:
        return ITimingCache(data)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        return self.cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        return INetworkDefinition(flags)

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> bytes | None:
        if os.environ.get("FAKE_TENSORRT_NO_MEMORY"):
            _error(self._logger, "[optimizer.cpp::computeCosts::4048] Error Code 10: Could not find any implementation for node")
            return None
        entry = network.model.graph.input[0]
        if not config.profiles or entry.name not in config.profiles[0].shapes:
            _error(
                self._logger, f"Network has dynamic or shape inputs, but no optimization profile has been defined: {entry.name}"
            )
            return None
        names = {flag.name for flag in config.flags}
        if config.default_device_type == DeviceType.DLA and "GPU_FALLBACK" not in names:
            _error(self._logger, "LSTM is not supported on DLA and GPU fallback is not enabled")
            return None
        # Q and DQ say their own types; half precision for the rest would want an opset that this graph has not.
        model = _halved(network) if "FP16" in names and "INT8" not in names else network.model
        config.cache = ITimingCache((config.cache.data if config.cache else b"") + b"timed;")
        header = {
            "version": __version__,
            "gpu": fake_driver.NAME,
            "profile": config.profiles[0].shapes,
            "flags": sorted(names),
            "workspace": config.pools.get(MemoryPoolType.WORKSPACE),
            "dla": config.DLA_core,
        }
        text = json.dumps(header).encode()
        return MAGIC + len(text).to_bytes(4, "little") + text + model.SerializeToString()


def _halved(network: INetworkDefinition) -> Any:
    """Return the network in half precision but for the layers that were kept, as kernels with FP16 would compute it."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    kept = [layer.name for layer in network.layers if layer.kept]
    return convert_float_to_float16(network.model, keep_io_types=True, node_block_list=kept)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._shape, self._addresses = engine, None, {}
        self._busy = threading.Lock()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.profile[name]
        fits = len(shape) == len(low) and all(a <= b <= c for a, b, c in zip(low, shape, high))
        self._shape = tuple(shape) if fits else self._shape
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name == self._engine.names[0]:
            return self._shape
        return tuple(self._shape[0] if d == -1 else d for d in self._engine.get_tensor_shape(name))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if not self._busy.acquire(blocking=False):
            return False  # a context is for one thread at a time
        try:
            given, taken = self._engine.names
            batch = fake_driver.view(self._addresses[given], self._shape)
            output = self._engine.session.run(None, {given: np.array(batch)})[0]
            if os.environ.get("FAKE_TENSORRT_WRONG_BATCH") == str(self._shape[0]):
                output = np.roll(output, 1, axis=1)
            fake_driver.view(self._addresses[taken], output.shape)[...] = output
            return True
        finally:
            self._busy.release()


class ICudaEngine:
    def __init__(self, header: dict[str, Any], model: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.names = (self.session.get_inputs()[0].name, self.session.get_outputs()[0].name)
        self.profile = header["profile"]
        self.num_io_tensors = 2

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == self.names[0] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        entry = next(t for t in (*self.session.get_inputs(), *self.session.get_outputs()) if t.name == name)
        return float32 if entry.type == "tensor(float)" else float16

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        entry = next(t for t in (*self.session.get_inputs(), *self.session.get_outputs()) if t.name == name)
        return tuple(d if isinstance(d, int) else -1 for d in entry.shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self.profile[name]]

    def create_execution_context(self) -> IExecutionContext:
        return IExecutionContext(self)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if serialized_engine[:4] != MAGIC:
            _error(
                self._logger,
                "Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed. Version tag does not match.",
            )
            return None
        size = int.from_bytes(serialized_engine[4:8], "little")
        header = json.loads(serialized_engine[8 : 8 + size])
        if header["version"] != __version__:
            problem = "The engine plan file is not compatible with this version of TensorRT"
            _error(self._logger, f"{problem}, expecting library version {__version__} got {header['version']}, please rebuild.")
            return None
        if header["gpu"] != fake_driver.NAME:
            _error(self._logger, "The engine plan file is generated on an incompatible device, please rebuild.")
            return None
        return ICudaEngine(header, serialized_engine[8 + size :])
