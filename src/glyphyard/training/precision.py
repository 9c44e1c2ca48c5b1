"""When to compute in bfloat16: where it was measured to be faster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["fp32", "bf16", "auto"]


def uses_bf16(precision: Precision, device: torch.device) -> bool:
    """Say whether to autocast; "auto" is bf16 on a GPU that has it and on a CPU with AMX tiles, else fp32.

    Measured: on a CPU with AVX-512 but without bf16 instructions the LSTM takes 2.7 times as long in bf16 as in fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())


def autocast(on: bool, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which losses are computed."""
    return torch.autocast(device.type, torch.bfloat16) if on else nullcontext()
