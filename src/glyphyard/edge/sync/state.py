"""What the agent remembers: one small JSON file. A lost one costs knowledge, never a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import Record
from glyphyard.edge.sync.disk import write_json

GOOD = ("current", "updated")  # outcomes of a poll after which the device serves what the alias names
ATTEMPTS = 3  # deaths of agent or device while a version is tried, and downloads with a wrong content


def one_line(text: object) -> str:
    """Return a text, or what an error says, on one line that UTF-8 can hold, whatever a registry put into it."""
    return " ".join(str(text).encode("utf-8", "backslashreplace").decode("utf-8").split())


@dataclass
class Swap(Record):
    """A swap that no health check has confirmed yet: written before the link moves, so a power cut cannot hide it."""

    new: str
    old: str | None


@dataclass
class SyncState(Record):
    """`good`: versions that passed their health check, the latest last. `quarantine`: version → why it is not tried again."""

    model: str
    alias: str
    serving: str | None = None
    wanted: str | None = None
    swap: Swap | None = None
    good: list[str] = field(default_factory=list)
    quarantine: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    outcome: str = "new"
    message: str = ""
    failures: int = 0
    swaps: int = 0
    rollbacks: int = 0
    downloaded_bytes: int = 0
    when: str = ""

    @classmethod
    def load(cls, path: Path, model: str, alias: str) -> SyncState:
        """Read the state; one that is absent, broken or of another model starts anew (the link says what serves)."""
        try:
            found = cls.from_json(read_json(path), str(path))
        except BadInput:
            return cls(model, alias)
        return found if (found.model, found.alias) == (model, alias) else cls(model, alias)

    def save(self, path: Path) -> None:
        """Write the state, on the disk before this returns."""
        write_json(path, self.to_json())

    def note(self, outcome: str, message: str, serving: str | None, when: str) -> None:
        """Take in how a poll ended; `when` is for people and decides nothing."""
        self.outcome, self.message, self.serving = outcome, message, serving
        self.failures = 0 if outcome in GOOD or outcome == "quarantined" else self.failures + 1
        self.when = when

    def confirm(self, key: str) -> None:
        """Note that `key` serves and is healthy."""
        self.good = [*[k for k in self.good if k != key][-20:], key]
        self.serving, self.swap = key, None
        self.attempts.pop(key, None)

    def condemn(self, key: str, reason: str) -> None:
        """Note that `key` is not to be tried again, and why."""
        self.quarantine[key] = one_line(reason)[:500]
        self.attempts.pop(key, None)
        self.good = [k for k in self.good if k != key]

    def forgive(self, key: str) -> bool:
        """Take a version (its key or its number) out of quarantine; True if it was there."""
        found = [k for k in self.quarantine if key in (k, k.partition("-")[0])]
        for k in found:
            del self.quarantine[k]
        return bool(found)

    def try_again(self, key: str) -> int:
        """Count one more attempt at `key` and return how many there were with it."""
        self.attempts[key] = self.attempts.get(key, 0) + 1
        return self.attempts[key]
