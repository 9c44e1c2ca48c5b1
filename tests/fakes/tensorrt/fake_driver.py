"""A CUDA driver whose device memory is this process's own: what glyphyard.edge.cuda calls, with its arguments checked."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

import numpy as np

NAME = os.environ.get("FAKE_CUDA_NAME", "Orin")
SM = int(os.environ.get("FAKE_CUDA_SM", "87"))
_memory: dict[int, Any] = {}
_current = threading.local()
_real = ctypes.CDLL


def view(address: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return device memory as an array; a place that was not allocated, or is too small, is a KeyError or ValueError."""
    buffer = _memory[address]
    size = int(np.prod(shape))
    return np.frombuffer(buffer, np.float32, count=size).reshape(shape)


def allocated() -> int:
    """Return how many allocations are not freed."""
    return len(_memory)


class Driver:
    """libcuda.so.1, as far as it is needed; statuses are CUDA's (0 success, 1 invalid value, 201 invalid context)."""

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0 if ordinal == 0 else 101

    def cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> int:
        context._obj.value = 0xC0DE
        return 0

    def cuCtxSetCurrent(self, context: Any) -> int:
        _current.context = context.value
        return 0

    def cuDeviceGetName(self, buffer: Any, size: int, device: Any) -> int:
        buffer.value = NAME.encode()[: size - 1]
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: SM // 10, 76: SM % 10}[attribute]
        return 0

    def cuMemAlloc_v2(self, address: Any, size: Any) -> int:
        if not self._usable():
            return 201
        buffer = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(buffer)
        _memory[ctypes.addressof(buffer)] = buffer
        return 0

    def cuMemFree_v2(self, address: Any) -> int:
        return 0 if _memory.pop(address.value, None) is not None else 1

    def cuStreamCreate(self, stream: Any, flags: int) -> int:
        stream._obj.value = 0x57
        return 0 if self._usable() else 201

    def cuMemcpyHtoDAsync_v2(self, to: Any, source: Any, size: Any, stream: Any) -> int:
        return self._copy(to.value, source.value, size.value, to.value)

    def cuMemcpyDtoHAsync_v2(self, to: Any, source: Any, size: Any, stream: Any) -> int:
        return self._copy(to.value, source.value, size.value, source.value)

    def cuStreamSynchronize(self, stream: Any) -> int:
        return 0 if self._usable() else 201

    def _copy(self, to: int, source: int, size: int, device: int) -> int:
        if not self._usable():
            return 201
        if device not in _memory or size > len(_memory[device]):
            return 1
        ctypes.memmove(to, source, size)
        return 0

    @staticmethod
    def _usable() -> bool:
        return getattr(_current, "context", None) is not None


def install() -> None:
    """Let ctypes find this driver under libcuda's name."""

    def load(name: str | None, *arguments: Any, **options: Any) -> Any:
        return Driver() if name == "libcuda.so.1" else _real(name, *arguments, **options)

    ctypes.CDLL = load  # type: ignore[misc, assignment]


def uninstall() -> None:
    """Undo `install`."""
    ctypes.CDLL = _real  # type: ignore[misc]
    _memory.clear()
