"""What this machine is to an engine: its GPU, its TensorRT, and how it can build."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from glyphyard.core.errors import BadInput, GlyphyardError
from glyphyard.core.targets import Target, version_tuple
from glyphyard.edge.cuda import Cuda
from glyphyard.edge.native import tensorrt
from glyphyard.edge.trtexec import find_trtexec, trtexec_version

BOARD = Path("/proc/device-tree/model")


@dataclass(frozen=True)
class Device:
    """This machine: `trtexec` is None where TensorRT's Python API builds and runs, which is the better way."""

    tensorrt: str
    gpu: str
    sm: int | None
    machine: str
    trtexec: Path | None

    @property
    def builder(self) -> str:
        """Which of the two builds here."""
        return "trtexec" if self.trtexec else "python"


def this_device() -> Device:
    """Look at this machine; one without any TensorRT is a `BadInput`."""
    try:
        version, trtexec = str(tensorrt().__version__), None
    except BadInput as error:
        trtexec = find_trtexec()
        if trtexec is None:
            raise BadInput(
                "this device", f"has no TensorRT: no trtexec, and {error.where} {error.problem}", error.remedy
            ) from error
        version = trtexec_version(trtexec)
    gpu, sm = _gpu()
    return Device(version, gpu, sm, platform.machine(), trtexec)


def _gpu() -> tuple[str, int | None]:
    try:
        cuda = Cuda()
        return cuda.name, cuda.sm
    except GlyphyardError:
        board = BOARD.read_text(errors="replace").strip("\0 \n") if BOARD.is_file() else "unknown GPU"
        return board, None


def check_device(device: Device, target: Target) -> str | None:
    """Refuse a device that is not the target (`BadInput`); return a remark where its TensorRT is another minor version.

    Engines are built where they run: no x86 machine can build one for a Jetson.
    """
    if device.machine != target.machine:
        problem = f"is {device.machine}, {target.name} is a {target.device} ({target.machine})"
        raise BadInput("this device", problem, "an engine is built on the device that runs it")
    if target.sm and device.sm and device.sm not in target.sm:
        expected = " or ".join(map(str, target.sm))
        raise BadInput(
            "this device", f"is {device.gpu} (sm {device.sm}), {target.name} is sm {expected}", "choose its own target"
        )
    found, expected_version = version_tuple(device.tensorrt), version_tuple(target.tensorrt.series)
    if found[0] != expected_version[0]:
        problem = f"has TensorRT {device.tensorrt}, {target.name} is for {target.tensorrt.series} (JetPack {target.jetpack})"
        raise BadInput("this device", problem, "choose the target of its JetPack; docs/edge.md has the matrix")
    return f"TensorRT {device.tensorrt} in place of {target.tensorrt.series}" if found != expected_version else None
