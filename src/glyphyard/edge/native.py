"""A TensorRT engine behind the same interface as an ONNX Runtime session: (N,C,H,W) float32 in, (T,N,classes) out."""

from __future__ import annotations

import importlib
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import numpy as np

from glyphyard.core.errors import BadInput, GlyphyardError, StepFailed
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.cuda import Cuda

CONTEXTS = 2  # calls that may be on the device at once: one computes while another copies
BUILD_AGAIN = "build it again on this device: glyphyard engine build BUNDLE --target TARGET"


def tensorrt() -> Any:
    """Import TensorRT's Python API; its absence is a `BadInput` that says where it comes from."""
    try:
        return importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:
        remedy = "JetPack brings it (python3-libnvinfer); let the environment see it: python3 -m venv --system-site-packages"
        raise BadInput("tensorrt", f"cannot be imported ({error})", remedy) from error


def logger_of(trt: Any) -> Any:
    """Return a TensorRT logger that keeps what is wrong in its `errors` and prints nothing."""

    class Quiet(trt.ILogger):  # type: ignore[misc]  # the base comes with the device
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(trt.ILogger.Severity.ERROR):
                self.errors.append(" ".join(message.split()))

    return Quiet()


class NativeSession:
    """An engine with a few execution contexts; `run` may be called from any number of threads, who wait for a free context."""

    def __init__(self, engine: bytes, where: str, contexts: int = CONTEXTS) -> None:
        trt = tensorrt()
        self._where, self._cuda, self._logger = where, Cuda(), logger_of(trt)
        self._cuda.use()
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            said = "; ".join(self._logger.errors[-2:]) or "TensorRT does not say why"
            raise BadInput(where, f"this TensorRT ({trt.__version__}) cannot load the engine ({said[:300]})", BUILD_AGAIN)
        self.providers = [f"TensorRT {trt.__version__}"]
        self._names = _names(self._engine, trt, where)
        low, _, high = (tuple(shape) for shape in self._engine.get_tensor_profile_shape(self._names[0], 0))
        self._frame, self._least, self.max_batch = tuple(int(d) for d in low[1:]), int(low[0]), int(high[0])
        self._free: SimpleQueue[_Slot] = SimpleQueue()
        self._slots = [_Slot(self._engine, self._cuda, self._names, (self.max_batch, *self._frame)) for _ in range(contexts)]
        for slot in self._slots:
            self._free.put(slot)

    def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
        """Return the log-probabilities (time, batch, classes) of a batch of any size; the profile's limits are kept here."""
        if batch_NCHW.shape[1:] != self._frame or not len(batch_NCHW):
            raise BadInput(self._where, f"expected crops of {self._frame}, found {batch_NCHW.shape}")
        parts = [self._run(batch_NCHW[i : i + self.max_batch]) for i in range(0, len(batch_NCHW), self.max_batch)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _run(self, batch_NCHW: np.ndarray) -> np.ndarray:
        count = len(batch_NCHW)
        if count < self._least:
            batch_NCHW = np.resize(batch_NCHW, (self._least, *self._frame))
        slot = self._free.get()
        try:
            return slot.run(np.ascontiguousarray(batch_NCHW, dtype=np.float32), self._where)[:, :count]
        finally:
            self._free.put(slot)

    def check(self, bundle: Bundle) -> None:
        """Hold the engine's input and output against the bundle's manifest and alphabet."""
        spec, output = bundle.manifest.input, bundle.manifest.output.name
        classes = int(tuple(self._engine.get_tensor_shape(self._names[1]))[-1])
        found = (*self._names, list(self._frame), classes)
        expected = (spec.name, output, list(spec.shape[1:]), bundle.alphabet.num_classes)
        if found != expected:
            raise BadInput(self._where, f"expected {expected}, the engine has {found}", BUILD_AGAIN)

    def close(self) -> None:
        """Give the device's memory back; the session cannot be used afterwards."""
        for slot in self._slots:
            slot.close()
        self._slots = []

    def __del__(self) -> None:
        with suppress(Exception):  # at the interpreter's end the driver may be gone already
            self.close()


def _names(engine: Any, trt: Any, where: str) -> tuple[str, str]:
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    inputs = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
    outputs = [n for n in names if n not in inputs]
    if len(inputs) != 1 or len(outputs) != 1 or any(engine.get_tensor_dtype(n) != trt.float32 for n in names):
        raise BadInput(where, f"expected one float32 input and output, found {inputs} and {outputs}", BUILD_AGAIN)
    return inputs[0], outputs[0]


class _Slot:
    """One execution context with its stream and its device memory, used by one thread at a time."""

    def __init__(self, engine: Any, cuda: Cuda, names: tuple[str, str], largest: tuple[int, ...]) -> None:
        self._cuda, (self._input, self._output) = cuda, names
        self._context = engine.create_execution_context()
        if self._context is None:
            raise StepFailed("TensorRT", "has no memory for an execution context", "close what else uses the device")
        self._context.set_input_shape(self._input, largest)
        shape = tuple(int(d) for d in self._context.get_tensor_shape(self._output))
        self._addresses = [cuda.allocate(4 * int(np.prod(s))) for s in (largest, shape)]
        for name, address in zip(names, self._addresses, strict=True):
            self._context.set_tensor_address(name, address)
        self._stream = cuda.stream()

    def run(self, batch_NCHW: np.ndarray, where: str) -> np.ndarray:
        self._cuda.use()
        if not self._context.set_input_shape(self._input, batch_NCHW.shape):
            raise StepFailed(where, f"the engine refuses a batch of {batch_NCHW.shape}", BUILD_AGAIN)
        result = np.empty(tuple(int(d) for d in self._context.get_tensor_shape(self._output)), np.float32)
        self._cuda.to_device(self._addresses[0], batch_NCHW, self._stream)
        if not self._context.execute_async_v3(self._stream):
            raise StepFailed(where, "the engine did not run", BUILD_AGAIN)
        self._cuda.to_host(result, self._addresses[1], self._stream)
        self._cuda.wait(self._stream)
        return result

    def close(self) -> None:
        for address in self._addresses:
            with suppress(GlyphyardError):
                self._cuda.use()
                self._cuda.free(address)
        self._addresses = []
