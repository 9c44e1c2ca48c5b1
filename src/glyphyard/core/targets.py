"""The devices that engines are built for, and what each one's TensorRT takes, as data.

One table for all who ask: the recipe's laws, the linter at export, the builder on the device, the docs. A row's facts are
from NVIDIA's JetPack and TensorRT support pages, the migration guides 8→10 and 10→11, trtexec's own option list, and
onnx-tensorrt's operators.md of that release.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from glyphyard.core.errors import BadInput

PRECISIONS = ("fp32", "fp16", "int8")

# No TensorRT can do these (operators.md of 10.15 says N), or only with shapes that are known while it builds.
NEVER = frozenset(
    [
        "DynamicQuantizeLinear",
        "MaxRoiPool",
        "DFT",
        "STFT",
        "Det",
        "Unique",
        "StringNormalizer",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SplitToSequence",
        "ConcatFromSequence",
        "ConvInteger",
        "MatMulInteger",
        "QLinearConv",
        "QLinearMatMul",
        "Multinomial",
        "Bernoulli",
        "NegativeLogLikelihoodLoss",
        "SoftmaxCrossEntropyLoss",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "TfIdfVectorizer",
        "MelWeightMatrix",
        "HannWindow",
        "HammingWindow",
        "BlackmanWindow",
        "AffineGrid",
        "BitShift",
        "BitwiseAnd",
        "BitwiseOr",
        "BitwiseXor",
        "BitwiseNot",
        "CenterCropPad",
        "Col2Im",
        "Compress",
        "ImageDecoder",
        "MaxUnpool",
        "RegexFullMatch",
        "StringConcat",
        "StringSplit",
    ]
)
# TensorRT has control flow; a reader that needs it has an output whose length depends on the data.
CONTROL_FLOW = frozenset("If Loop Scan NonZero".split())  # noqa: SIM905
YOUNGER_THAN_8_5 = frozenset(
    ["LayerNormalization", "GroupNormalization", "Gelu", "Mish", "IsInf", "Hardmax", "DeformConv"]  # this one since 10.1
)


@dataclass(frozen=True)
class TensorRt:
    """One series of TensorRT: what its ONNX parser reads, how a precision is asked for, which options it has lost.

    `precision_by`: "flags" (the builder chooses among kernels that a flag allows) or "graph" (strongly typed: the types in
    the ONNX are the types of the engine). `lost_options` are trtexec's, without dashes; `explicit_batch`: networks have to
    be made with that flag. `build_only`: the option for building without running. `lstm_layout`: the only layout of an ONNX
    LSTM (0: time first). `max_top_k`: the largest K of a TopK. `grid_sample_rank`: how many axes a GridSample's input has.
    """

    series: str
    max_opset: int
    max_ir: int
    precision_by: str
    refused_operators: frozenset[str]
    lost_options: frozenset[str] = frozenset()
    explicit_batch: bool = False
    build_only: str = "skipInference"
    lstm_layout: int = 0
    resize_modes: tuple[str, ...] = ("nearest", "linear")
    max_top_k: int = 3840
    grid_sample_rank: int = 4

    @property
    def major(self) -> int:
        """The major version."""
        return int(self.series.partition(".")[0])


OPTIONS_LOST_BY_10 = frozenset(["workspace", "explicitBatch", "maxBatch", "batch", "output", "deploy", "model", "uff"])
OPTIONS_LOST_BY_11 = frozenset(
    ["fp16", "bf16", "int8", "fp8", "int4", "best", "calib", "precisionConstraints", "layerPrecisions", "layerOutputTypes"]
)

TRT_8_5 = TensorRt("8.5", 17, 8, "flags", NEVER | CONTROL_FLOW | YOUNGER_THAN_8_5, explicit_batch=True, build_only="buildOnly")
TRT_10_3 = TensorRt("10.3", 20, 10, "flags", NEVER | CONTROL_FLOW, OPTIONS_LOST_BY_10)
# JetPack 7.0 and 7.1 bring a 10.x whose minor version NVIDIA's pages did not pin when this was written.
TRT_10_13 = TensorRt("10.13", 22, 10, "flags", NEVER | CONTROL_FLOW, OPTIONS_LOST_BY_10)
TRT_11 = TensorRt("11.4", 24, 10, "graph", NEVER | CONTROL_FLOW, OPTIONS_LOST_BY_10 | OPTIONS_LOST_BY_11)


@dataclass(frozen=True)
class Target:
    """One kind of device: its software, its processor, and what an engine for it asks when a recipe says nothing.

    `sm` is the CUDA compute capability as major*10+minor (None: any). `resource` is what a Ray worker on such a device
    offers. `dla_cores` is how many deep-learning accelerators TensorRT can use there.
    """

    name: str
    device: str
    jetpack: str
    cuda: str
    tensorrt: TensorRt
    sm: tuple[int, ...] | None
    machine: str
    precision: str = "fp16"
    batch: tuple[int, int, int] = (1, 8, 64)
    workspace_mb: int = 1024
    dla_cores: int = 0

    @property
    def resource(self) -> str:
        """The custom resource that a Ray worker on such a device offers."""
        return self.name

    def lost(self, options: frozenset[str]) -> list[str]:
        """Return which of trtexec's options (without dashes) this target's TensorRT no longer has."""
        return sorted(options & self.tensorrt.lost_options)


_TABLE = (
    Target("orin_nx_jp62", "Jetson Orin NX", "6.2", "12.6", TRT_10_3, (87,), "aarch64", dla_cores=2),
    Target("orin_nano_jp62", "Jetson Orin Nano", "6.2", "12.6", TRT_10_3, (87,), "aarch64", workspace_mb=512),
    Target("agx_orin_jp62", "Jetson AGX Orin", "6.2", "12.6", TRT_10_3, (87,), "aarch64", workspace_mb=2048, dla_cores=2),
    Target("xavier_nx_jp51", "Jetson Xavier NX", "5.1", "11.4", TRT_8_5, (72,), "aarch64", workspace_mb=512, dla_cores=2),
    Target("thor_jp7", "Jetson Thor", "7.0", "13.0", TRT_10_13, (101, 110), "aarch64", workspace_mb=4096),
    Target("x86_trt11", "x86-64 with an NVIDIA GPU", "none", "13.0", TRT_11, None, "x86_64", workspace_mb=2048),
)
TARGETS: Mapping[str, Target] = {target.name: target for target in _TABLE}


def target_named(name: str, where: str = "target") -> Target:
    """Return a target by name; an unknown one is a `BadInput` at `where` that offers the nearest."""
    if name in TARGETS:
        return TARGETS[name]
    near = difflib.get_close_matches(name, TARGETS, n=1)
    raise BadInput(where, f"no target is called {name!r}", f"did you mean {near[0]}?" if near else f"known: {', '.join(TARGETS)}")


def version_tuple(version: str) -> tuple[int, int]:
    """Return (major, minor) of a TensorRT version such as 10.3.0."""
    parts = version.split(".")
    try:
        return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError as error:
        raise BadInput("TensorRT", f"says that its version is {version!r}", "expected something like 10.3.0") from error
