"""One fault that a sync agent meets, and what the agent may say to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fakes.sync_world import World

OUT, BAD, SICK, FAILED, FINE = ("unreachable",), ("refused",), ("unhealthy",), ("failed",), ("updated", "current")


@dataclass
class Case:
    """One fault that one poll meets.

    `outcome`: what the poll under the fault may say. `during`: the versions that may serve after it. `after`: the version
    that serves when the fault is gone.
    """

    group: str
    fault: str
    arrange: Callable[[World], object]
    outcome: tuple[str, ...]
    during: tuple[int | None, ...] = (1,)
    after: int | None = 2
    start: str = "one"
    wanted: int = 2
    polls: int = 1  # under the fault
    mend: Callable[[World], object] | None = None
    config: dict[str, object] = field(default_factory=dict)
