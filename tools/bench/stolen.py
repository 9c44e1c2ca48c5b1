"""How much of a virtual machine's cores its host gave to others: what no ratio of one moment survives."""

from __future__ import annotations

import time
from pathlib import Path

STAT = Path("/proc/stat")
STEAL = 8  # the column of `cpu` in proc(5), in ticks of 10 ms


class Stolen:
    """Counts from its making: `share()` is the share of the cores' time since then that was taken away, 0 where nobody counts it."""

    def __init__(self) -> None:
        self._started, self._ticks = time.perf_counter(), _ticks()

    def share(self, cores: int) -> float:
        """Return the share of `cores` cores' time that was taken since this was made."""
        return (_ticks() - self._ticks) / 100 / (cores * (time.perf_counter() - self._started))


def _ticks() -> int:
    return int(STAT.read_text().split(maxsplit=STEAL + 1)[STEAL]) if STAT.is_file() else 0
