"""Reading a file of weights that may come from anywhere."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch


def load_tensors(path: Path) -> Any:
    """Return what a file of torch's holds, on the CPU: tensors, numbers, texts and containers of them, never code.

    Raises whatever an unpickler raises that is fed any bytes; what torch has to say to its own developers is kept back.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)
