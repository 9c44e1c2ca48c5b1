"""Epochs told to whoever asked for them, those of an earlier session included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from glyphyard.training.watch import EpochRow, Watch

Tell = Callable[[EpochRow], None]


class Telling(Watch):
    """Tells each epoch as it ends, and first those that a killed driver may have missed, as "replayed"."""

    def __init__(self, stage_dir: Path, tell: Tell) -> None:
        self.metrics, self.tell = stage_dir / "metrics.jsonl", tell

    def started(self, epoch: int) -> None:
        """Tell the epochs that are done."""
        for row in rows_of(self.metrics):
            self.tell(row | {"replayed": True})

    def epoch_ended(self, row: EpochRow) -> None:
        """Tell this one."""
        self.tell(row)


def rows_of(metrics: Path) -> list[EpochRow]:
    """Return the whole lines of a metrics.jsonl; none where there is no file."""
    try:
        text = metrics.read_text(encoding="utf-8")
    except OSError:
        return []
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]
