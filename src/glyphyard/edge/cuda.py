"""The dozen calls of the CUDA driver that a TensorRT engine needs, through ctypes: a device has the driver, nothing else.

The driver's library has kept one name and one ABI since CUDA 4, where the runtime's changes with every major version.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from glyphyard.core.errors import BadInput, StepFailed

LIBRARY = "libcuda.so.1"
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute


class Cuda:
    """The first CUDA device; `use` has to be called on a thread before anything else is."""

    def __init__(self) -> None:
        try:
            self._driver: Any = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise BadInput(LIBRARY, f"cannot be loaded ({error})", "install the NVIDIA driver or JetPack") from error
        self._call("cuInit", 0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        # The primary context is the one that TensorRT uses as well.
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._device, self._context = device, context

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._driver, name)(*arguments)
        if status:
            raise StepFailed("CUDA", f"{name} failed with status {status}", "see `dmesg`, and free memory if it is short")

    def use(self) -> None:
        """Make the device's context current on this thread."""
        self._call("cuCtxSetCurrent", self._context)

    @property
    def name(self) -> str:
        """The device's name as the driver says it."""
        buffer = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", buffer, len(buffer), self._device)
        return buffer.value.decode("utf-8", "replace")

    @property
    def sm(self) -> int:
        """The compute capability as major*10+minor."""
        found = []
        for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
            value = ctypes.c_int()
            self._call("cuDeviceGetAttribute", ctypes.byref(value), attribute, self._device)
            found.append(value.value)
        return found[0] * 10 + found[1]

    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on the device."""
        address = ctypes.c_void_p()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return int(address.value or 0)

    def free(self, address: int) -> None:
        """Give device memory back."""
        self._call("cuMemFree_v2", ctypes.c_void_p(address))

    def stream(self) -> int:
        """Return a new stream's handle."""
        handle = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(handle), 1)  # 1: does not wait for the default stream
        return int(handle.value or 0)

    def to_device(self, address: int, array: np.ndarray, stream: int) -> None:
        """Copy a C-contiguous array to the device, in the stream's order."""
        size = ctypes.c_size_t(array.nbytes)
        self._call(
            "cuMemcpyHtoDAsync_v2", ctypes.c_void_p(address), array.ctypes.data_as(ctypes.c_void_p), size, ctypes.c_void_p(stream)
        )

    def to_host(self, array: np.ndarray, address: int, stream: int) -> None:
        """Copy device memory into a C-contiguous array, in the stream's order; `wait` before reading it."""
        size = ctypes.c_size_t(array.nbytes)
        self._call(
            "cuMemcpyDtoHAsync_v2", array.ctypes.data_as(ctypes.c_void_p), ctypes.c_void_p(address), size, ctypes.c_void_p(stream)
        )

    def wait(self, stream: int) -> None:
        """Wait until all that is in the stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(stream))
