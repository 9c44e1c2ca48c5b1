"""What a broken law says."""

from __future__ import annotations

from typing import Any, NamedTuple


class Breach(NamedTuple):
    """A broken law: where in the recipe, what stands against what, and what to do."""

    at: tuple[Any, ...]
    problem: str
    remedy: str
