"""Places in an image keep float32 where the network around them computes in fewer bits."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def in_float32(part: nn.Module, given: Any, made: Any) -> Any:
    """Return what a part made, in tuples, lists and mappings, as float32: a forward hook. In float32 nothing changes."""
    if isinstance(made, Tensor):
        return made.float() if made.is_floating_point() else made
    if isinstance(made, dict):
        return type(made)((name, in_float32(part, given, value)) for name, value in made.items())
    if isinstance(made, (tuple, list)):
        return type(made)(in_float32(part, given, value) for value in made)
    return made
