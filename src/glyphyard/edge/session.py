"""ONNX Runtime, opened late and quietly: (N,C,H,W) float32 in, (T,N,classes) log-probabilities out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.manifest import CPU_MODEL, MODEL, STEP_IDS, STEP_PROBABILITIES

CPU = ("CPUExecutionProvider",)
PIXELS = "tensor(uint8)"  # of a graph that takes pixels as they are; others take float32 in [0, 1]
NO_PROVIDER = "check its driver and libraries, or ask for the CPU"
LONGEST = 300  # characters of what ONNX Runtime says
CPU_TOLERANCE = 0.75  # of core.agreement.difference on golden crops, between model_pixels.onnx and model.onnx


class NoRuntime(BadInput):
    """This device has no ONNX Runtime, or not with these providers: no model is to blame."""


class Session(Protocol):
    """What a recogniser needs of an engine: ONNX Runtime's, TensorRT's or a test's.

    `max_batch` is the largest batch that one `run` should be given (None: any).
    """

    providers: list[str]

    @property
    def max_batch(self) -> int | None:
        """Return the largest batch of one `run`."""

    def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
        """Return the log-probabilities (time, batch, classes) of a batch, float32 both; any thread may call it."""


class OnnxSession:
    """One inference session; `run` may be called from any number of threads at once (ONNX Runtime's own promise).

    `where` is the path of `model`, `file` its name; `takes_pixels`: the graph is a model_pixels.onnx, which has `steps`.
    """

    max_batch: int | None = None

    def __init__(
        self,
        model: bytes,
        where: str,
        providers: Sequence[str] = CPU,
        threads: int = 1,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self._session = _open(model, where, list(providers), threads, provider_options)
        self._where, self.file = where, PurePath(where).name
        self.providers = list(self._session.get_providers())
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        self.takes_pixels = self._session.get_inputs()[0].type == PIXELS

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        providers: Sequence[str] = CPU,
        threads: int = 1,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
        portable: bool = False,
    ) -> OnnxSession:
        """Open a bundle's model; one that does not take and give what bundle.json says is a `BadInput`.

        On the CPU it is the bundle's file for CPUs where there is one, with `portable` and elsewhere model.onnx.
        """
        for_cpu = tuple(providers) == CPU and CPU_MODEL in bundle.manifest.files and not portable
        file = CPU_MODEL if for_cpu else MODEL
        session = cls(bundle.read(file), str(bundle.folder / file), providers, threads, provider_options)
        session.check(bundle)
        return session

    def run(self, batch_NCHW: np.ndarray) -> np.ndarray:
        """Return the log-probabilities (time, batch, classes) of a batch; pixels that a graph takes as they are go back to bytes."""
        given = np.rint(batch_NCHW * 255).astype(np.uint8) if self.takes_pixels else batch_NCHW
        return self._outputs([self._output], given)[0]

    def steps(self, pixels_NCHW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each step's best class and its probability, (time, batch) both, of uint8 pixels; only with `takes_pixels`."""
        ids_TN1, best_TN1 = self._outputs([STEP_IDS, STEP_PROBABILITIES], pixels_NCHW)
        return ids_TN1[..., 0], best_TN1[..., 0]

    def _outputs(self, names: list[str], batch_NCHW: np.ndarray) -> list[np.ndarray]:
        if not self.takes_pixels or len(batch_NCHW) == 1:
            return self._run(names, {self._input: batch_NCHW})
        # One crop at a time: int8 activations share a scale over a batch, and a reading must not hang on its neighbours.
        rows = [self._outputs(names, batch_NCHW[i : i + 1]) for i in range(len(batch_NCHW))]
        return [np.concatenate(output, axis=1) for output in zip(*rows, strict=True)]

    def run_all(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return every output by name, of a model with inputs and outputs of its own kind."""
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._run(names, dict(inputs)), strict=True))

    def _run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            found: list[np.ndarray] = self._session.run(names, inputs)
        except Exception as error:  # as below: no common base; older versions load graphs that they cannot run
            problem = f"onnxruntime {onnxruntime().__version__} cannot run this model ({_told(error)})"
            raise BadInput(self._where, problem, "try another version of it, or export the model again") from error
        return found

    def names(self) -> tuple[list[str], list[str]]:
        """Return the names of the model's inputs and outputs."""
        return [i.name for i in self._session.get_inputs()], [o.name for o in self._session.get_outputs()]

    def check(self, bundle: Bundle) -> None:
        """Hold the model's inputs and outputs against the bundle's manifest and alphabet."""
        inputs, outputs, wanted = self._session.get_inputs(), self._session.get_outputs(), bundle.manifest.input
        kind, more = ("uint8", [STEP_IDS, STEP_PROBABILITIES]) if self.file == CPU_MODEL else ("float", [])
        found = [(i.name, i.type, i.shape[1:]) for i in inputs]
        if found != [(wanted.name, f"tensor({kind})", wanted.shape[1:])] or isinstance(inputs[0].shape[0], int):
            described = [(i.name, i.type, i.shape) for i in inputs]
            problem = f"expected one {kind} input {wanted.name} of {wanted.shape}, found {described}"
            raise BadInput(self._where, problem, "export it again")
        names = [bundle.manifest.output.name, *more]
        if [o.name for o in outputs] != names or [len(o.shape) for o in outputs] != [3] * len(names):
            problem = f"expected outputs {names} of three axes each, found {[(o.name, o.shape) for o in outputs]}"
            raise BadInput(self._where, problem, "export it again")
        if outputs[0].shape[2] != bundle.alphabet.num_classes:
            expected = f"an output {names[0]} (time, batch, {bundle.alphabet.num_classes} classes)"
            problem = f"expected {expected}, found {[(o.name, o.shape) for o in outputs]}"
            raise BadInput(self._where, problem, "the alphabet of bundle.json is not the model's; export it again")


def onnxruntime() -> Any:
    """Import ONNX Runtime; its absence is a `BadInput` that says where it comes from."""
    try:
        import onnxruntime
    except ImportError as error:
        remedy = "pip install onnxruntime, or this package's wheel with its extra [runtime]"
        raise NoRuntime("onnxruntime", f"reading a bundle needs it ({error})", remedy) from error
    return onnxruntime


def _open(
    model: bytes, where: str, providers: list[str], threads: int, provider_options: Sequence[Mapping[str, Any]] | None
) -> Any:
    ort = onnxruntime()
    offered = ort.get_available_providers()
    if missing := [p for p in providers if p not in offered]:
        raise NoRuntime("providers", f"this onnxruntime has no {missing}, only {offered}", "choose one of them")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what matters is raised, in one line
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Waiting threads that spin would eat the cores that other callers' crops need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        given = [dict(one) for one in provider_options] if provider_options else None
        session = ort.InferenceSession(model, options, providers=providers, provider_options=given, enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        if providers[0] not in CPU:
            _open(model, where, list(CPU), threads, None)  # a model that does not load there either is to blame itself
            raise NoRuntime("providers", f"{providers[0]} does not work here ({_told(error)})", NO_PROVIDER) from error
        raise BadInput(where, f"onnxruntime cannot load this model ({_told(error)})", "export it again") from error
    got = session.get_providers()[0]
    if got != providers[0]:
        raise NoRuntime("providers", f"asked for {providers[0]}, got {got}", NO_PROVIDER)
    return session


def _told(error: Exception) -> str:
    """Return what ONNX Runtime says, in one line and without its sources' places."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/\S+\.(cc|h):\d+ ", "", text).rpartition("Status Message: ")[2]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
