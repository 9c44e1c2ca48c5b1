"""The engines beside the versions: the one that serves is good for this device as it is now, and none is kept for nobody."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.edge.engines import RECORD, EngineRecord
from glyphyard.edge.sync import disk
from glyphyard.edge.sync.shelf import Shelf
from glyphyard.edge.sync.state import ATTEMPTS, SyncState
from glyphyard.edge.sync.trial import Rejected, TrialReport, TrialRequest

NAME = re.compile(r"[0-9a-f]{16}")
HALF = re.compile(r"\.[0-9a-f]{16}\..+")  # what a power cut left of a build, or a person is building in advance
HALF_S = 86_400.0  # nobody builds for a day
Say = Callable[[str], None]
Trial = Callable[[TrialRequest], TrialReport]


class NoEngine(StepFailed):
    """The version that serves has no engine on this device, and none can be built."""


class Engines:
    """Looks after `root/engines`, where the trial builds and the service reads."""

    def __init__(self, shelf: Shelf, state: SyncState, trial: Trial, say: Say, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._seen = now, dict[str, float]()
        self.folder, self._shelf, self._state, self._trial, self._say = shelf.root / "engines", shelf, state, trial, say

    def refresh(self, key: str, request: TrialRequest) -> bool:
        """Build the engine of the version that serves again where there is no whole one; True if it was built.

        It goes by itself, is damaged, or belongs to the TensorRT of before an update of the device.
        """
        with suppress(Rejected):  # whatever keeps it from looking keeps it from building, too, and the trial says it better
            if engine := self._trial(replace(request, look=True)).engine:
                self._state.engines[key] = engine
                return False
        if key in self._state.quarantine:
            raise NoEngine(f"engine of {key}", f"not tried again: {self._state.quarantine[key]}")
        if self._state.try_again(key) > ATTEMPTS:
            self._state.condemn(key, f"agent or device died {ATTEMPTS} times while its engine was built")
            raise NoEngine(f"engine of {key}", self._state.quarantine[key])
        self._state.save(self._shelf.state)
        self._say(f"{key}: no whole engine for this device as it is now; building it again")
        try:
            report = self._trial(request)
        except Rejected as error:  # this version was well here: the device has changed, so nothing counts against it
            raise NoEngine(f"engine of {key}", f"cannot be built any more ({error})", "mend the device") from error
        finally:
            self._state.attempts.pop(key, None)
        if report.engine:
            self._state.engines[key] = report.engine
        return True

    def forget(self, key: str) -> None:
        """Remove the engine of a version that has gone, unless another one reads with it."""
        engine = self._state.engines.pop(key, None)
        if engine and engine not in self._state.engines.values() and "/" not in engine:
            disk.remove(self.folder / engine)

    def sweep(self) -> None:
        """Remove engines that nobody will read with: of versions in quarantine or gone, of another TensorRT, half built."""
        bad = self._state.quarantine.keys() - {self._shelf.current()}
        named = {engine for key, engine in self._state.engines.items() if key not in bad}
        with suppress(OSError):  # e.g. a person's own: what cannot be tidied up keeps no model from this device
            for path in sorted(self.folder.iterdir()):
                half = HALF.fullmatch(path.name) and self._lain(path.name) > HALF_S
                unread = NAME.fullmatch(path.name) and path.name not in named and not self._wanted(path, bad)
                if half or unread:
                    disk.remove(path)

    def _lain(self, name: str) -> float:
        """Return for how many seconds this agent has seen a name; the wall clock jumps on such devices."""
        now = self._now()
        return now - self._seen.setdefault(name, now)

    def _wanted(self, path: Path, bad: set[str]) -> bool:
        """True for an engine that no version names yet, but may: the state was lost, or a person had it judged in advance."""
        try:
            record = EngineRecord.read(path / RECORD)
        except BadInput:
            return False
        of = [key for key in (*self._shelf.keys(), *bad) if key.endswith(f"-{record.bundle_sha256[:16]}")]
        if any(key not in bad and key not in self._state.engines for key in of):
            return True
        return not of and record.verdict is not None
