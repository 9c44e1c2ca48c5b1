"""Where a sweep's wall clock went, over all its sessions: training, and what stood between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json, write_json

HEARTBEAT_S = 5.0
SEARCH, CONFIRM = "search", "confirm"
Span = tuple[float, float]  # Unix seconds


class Clock:
    """Phases of the driver and spans of training, kept in clock.json so that a kill loses a heartbeat at most."""

    def __init__(self, folder: Path, started: float | None = None) -> None:
        """Go on with a folder's clock; `started` is when this session began (Unix seconds), now when absent."""
        self.path, self.from_s, self.live = folder / "clock.json", started or time.time(), False
        self.phases: list[dict[str, Any]] = []
        self.trained: list[list[float]] = []
        self.slots = 1
        self.written_s = 0.0
        if self.path.is_file():
            try:
                value = read_json(self.path)
                self.phases, self.trained, self.slots = value["phases"], value["trained"], value["slots"]
            except (BadInput, KeyError, TypeError):  # a sweep's decision does not hang on its clock
                self.phases, self.trained = [], []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the block's wall clock to a phase."""
        self.begin(name)
        try:
            yield
        finally:
            self.beat(force=True)

    def begin(self, name: str) -> None:
        """Start a phase here; the one before it ends."""
        now = time.time()
        if self.live:
            self.phases[-1]["to"] = now
        self.phases.append({"name": name, "from": now if self.live else min(self.from_s, now), "to": now})
        self.live = True
        self.beat(force=True)

    def train(self, begin: float, end: float) -> None:
        """Add a span of one trial's training."""
        if self.trained and self.trained[-1][1] >= begin and self.slots == 1:
            self.trained[-1][1] = end
        else:
            self.trained.append([begin, end])

    def beat(self, force: bool = False) -> None:
        """Let the running phase reach to now, and write it down now and then."""
        if self.live:
            self.phases[-1]["to"] = time.time()
        if force or time.monotonic() - self.written_s > HEARTBEAT_S:
            self.written_s = time.monotonic()
            write_json(self.path, {"phases": self.phases, "trained": self.trained, "slots": self.slots})

    def spent_s(self, name: str) -> float:
        """Return the seconds of a phase over all sessions."""
        return sum(p["to"] - p["from"] for p in self.phases if p["name"] == name)

    def account(self) -> dict[str, Any]:
        """Return the wall clock, the share of it in which something trained, and the rest by phase (seconds)."""
        spans = _merged([(a, b) for a, b in self.trained])
        wall = sum(p["to"] - p["from"] for p in self.phases)
        rest: dict[str, float] = {}
        training = 0.0
        for phase in self.phases:
            inside = sum(max(0.0, min(b, phase["to"]) - max(a, phase["from"])) for a, b in spans)
            training += inside
            for name, seconds in _gaps(phase, spans, inside):
                rest[name] = rest.get(name, 0.0) + seconds
        busy = sum(b - a for a, b in self.trained)
        runs = self.spent_s(SEARCH) + self.spent_s(CONFIRM)
        return {
            "wall_s": round(wall, 1),
            "training_s": round(training, 1),
            "training_share": round(training / wall, 4) if wall else None,
            "slots": self.slots,
            "slots_busy_share": round(min(1.0, busy / (runs * self.slots)), 4) if runs else None,
            "trial_s": round(busy, 1),
            "rest_s": {name: round(seconds, 1) for name, seconds in sorted(rest.items(), key=lambda i: -i[1]) if seconds >= 0.05},
        }


def _gaps(phase: dict[str, Any], spans: list[Span], inside: float) -> list[tuple[str, float]]:
    """Name a phase's time without training: before the first trial trains processes start, afterwards trials change hands."""
    idle = phase["to"] - phase["from"] - inside
    if phase["name"] not in (SEARCH, CONFIRM):
        return [(phase["name"], idle)]
    first = min((a for a, b in spans if b > phase["from"] and a < phase["to"]), default=phase["to"])
    start = min(idle, max(0.0, first - phase["from"]))
    return [("starting trial processes", start), ("between epochs and trials", idle - start)]


def _merged(spans: list[Span]) -> list[Span]:
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def told(account: dict[str, Any]) -> str:
    """Return the account as one line."""
    share = account["training_share"]
    rest = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in account["rest_s"].items() if seconds >= 0.5)
    busy = account["slots_busy_share"]
    slots = f", {account['slots']} slots {busy:.0%} busy" if busy is not None else ""
    return f"time: {account['wall_s']:.0f} s, {share or 0:.0%} of it in training{slots}; the rest: {rest or 'nothing'}"
