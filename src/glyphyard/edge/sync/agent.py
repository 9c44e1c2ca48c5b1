"""One poll: put right what a power cut left, then make the device serve what the registry's alias names, or keep what works."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from glyphyard.core.errors import GlyphyardError, StepFailed
from glyphyard.core.files import make_folder
from glyphyard.edge.sync import disk
from glyphyard.edge.sync.config import MIB, SyncConfig
from glyphyard.edge.sync.download import Moved, Tampered, download
from glyphyard.edge.sync.engines import Engines, NoEngine, Say, Trial
from glyphyard.edge.sync.registry import Refused, Registry, Unreachable, Version
from glyphyard.edge.sync.service import Service, Unhealthy
from glyphyard.edge.sync.serving import Serving
from glyphyard.edge.sync.shelf import Shelf
from glyphyard.edge.sync.state import ATTEMPTS, GOOD, SyncState, one_line
from glyphyard.edge.sync.trial import Rejected, TrialRequest, try_bundle

FOLLOW = 3  # times that one poll goes after an alias that moves while it downloads


class Agent:
    """Looks after one folder of one device; call `poll` as often as you like, in one thread, under the folder's lock."""

    def __init__(
        self,
        config: SyncConfig,
        registry: Registry | None = None,
        service: Service | None = None,
        trial: Trial = try_bundle,
        say: Say = print,
    ) -> None:
        self.config, self.shelf, self._trial, self._say = config, Shelf(Path(config.root)), trial, say
        self._said: set[str] = set()  # at the last poll of this process
        self._queue_trouble: str | None = None
        self._registry = registry or Registry(config.registry, config.credentials())
        self.state = SyncState.load(self.shelf.state, config.model, config.alias)
        self._engines = Engines(self.shelf, self.state, trial, say)
        self._serving = Serving(self.shelf, self.state, service or Service(config.tell, config.health), say)

    def poll(self) -> SyncState:
        """Do one round and return the state; whatever fails is an outcome, and the model in use stays in use."""
        try:
            self._sweep_queue()
            trouble = self._recover()
            outcome, message = self._follow(trouble)
        except Unreachable as error:
            outcome, message = "unreachable", self._no_fault(error)
        except (Refused, Rejected, Tampered) as error:
            outcome, message = "refused", str(error)
        except Unhealthy as error:
            outcome, message = "unhealthy", str(error)
        except (GlyphyardError, OSError) as error:
            outcome, message = "failed", self._no_fault(error)
        except Exception as error:  # a bug, met by content from outside: the next poll may find other content, a dead agent none
            outcome, message = "failed", f"{type(error).__name__}: {self._no_fault(error)}"
        self._note(outcome, one_line(message))
        return self.state

    def _no_fault(self, error: Exception) -> str:
        """Say why a poll ended; nobody died, so it does not count against the version."""
        self.state.attempts.pop(self.state.wanted or "", None)
        return one_line(error)

    def forgive(self, key: str) -> bool:
        """Take a version (its key or its number) out of quarantine; True if it was there."""
        found = self.state.forgive(key)
        self.state.save(self.shelf.state)
        return found

    def _note(self, outcome: str, message: str) -> None:
        state = self.state
        serving = self.shelf.current()
        if serving is not None and serving == self._serving.damaged and outcome not in GOOD:
            message, serving = f"{message}; {serving}, which serves, is damaged", None
        news = [line for line in (self._queue_trouble, f"{outcome}: {message}") if line]
        for line in (line for line in news if line not in self._said):
            self._say(line)
        self._said = set(news)
        state.note(outcome, message, serving, datetime.now(timezone.utc).isoformat(timespec="seconds"))
        try:
            state.save(self.shelf.state)
        except OSError as error:  # a full disk: the state of before the poll is still there, whole
            self._say(f"cannot write {self.shelf.state} ({error.strerror})")

    def _sweep_queue(self) -> None:
        self._queue_trouble = None
        try:
            if self.config.queue:
                make_folder(Path(self.config.queue.folder))
                self.config.queue.open().sweep()
        except (GlyphyardError, OSError) as error:  # e.g. a disk that is not there: no reason to keep a model from the device
            self._queue_trouble = one_line(f"queue: {error}; no crop is kept")

    # What a power cut, a full disk or a bad block may have left

    def _recover(self) -> NoEngine | None:
        """Let a whole version serve; return why it has no engine here, which a version to come may mend."""
        self._serving.damaged = None
        self.shelf.prepare()
        for version, request in self.shelf.asked_to_forgive():
            if self.forgive(version):
                self._say(f"version {version} may be tried again")
            disk.remove(request)  # not before the state is on the disk
        self._engines.sweep()
        if self._serving.finish():
            self._prune()
        serving = self._serving.mend()
        try:
            if serving and self.config.trial.engine and self._engines.refresh(serving, self._request(serving, None)):
                self._serving.tell(serving)
        except NoEngine as error:
            self._say(str(error))
            return error
        return None

    # What the alias names

    def _follow(self, trouble: NoEngine | None) -> tuple[str, str]:
        for _ in range(FOLLOW):
            version = self._registry.resolve(self.config.model, self.config.alias)
            key, serving = version.key, self.shelf.current()
            self.state.wanted = key
            here = key == serving and self.shelf.holds(key)
            if trouble and (here or key in self.state.quarantine):
                raise trouble
            if here:
                self.state.confirm(key)
                self._prune()
                return "current", f"version {version.number} serves"
            if key in self.state.quarantine:
                return "quarantined", f"version {version.number} is not tried again: {self.state.quarantine[key]}"
            try:
                self._install(version)
                self._still(version)
            except Moved:
                self.state.attempts.pop(key, None)
                continue
            self._serving.swap(key)
            self._prune()
            return "updated", f"version {version.number} serves" + (f" (was {serving})" if serving else "")
        raise Unreachable(self.config.model, f"{self.config.alias} keeps moving", "the next poll looks again")

    def _still(self, version: Version) -> None:
        if self._registry.resolve(self.config.model, self.config.alias).key != version.key:
            raise Moved(version.key, "the alias has moved on")

    def _install(self, version: Version) -> None:
        """Bring a version to the shelf and try it there; a content that is wrong for good is quarantined."""
        key = version.key
        if not self.shelf.holds(key):
            try:
                self._download(version)
            except Refused as error:
                self.state.condemn(key, str(error))
                disk.remove(self.shelf.staging / key)
                raise
            except Tampered as error:
                if self.state.try_again(f"download of {key}") >= ATTEMPTS:
                    self.state.condemn(key, f"{ATTEMPTS} downloads were wrong; {error}")
                    disk.remove(self.shelf.staging / key)
                raise
            self.state.attempts.pop(f"download of {key}", None)
        self._examine(key)

    def _download(self, version: Version) -> None:
        self._say(f"version {version.number}: downloading")
        staged = self.shelf.stage(version)

        def came(count: int) -> None:
            self.state.downloaded_bytes += count

        def room(needed: int) -> None:
            self.shelf.make_room(needed, lambda: self._prune(2))

        limit = int(self.config.max_bundle_mib * MIB)
        download(self._registry, version, staged, limit, came, room, lambda: self._still(version))
        self.shelf.shelve(version, staged)

    def _examine(self, key: str) -> None:
        """Run the trial; before a version is blamed, the one in use must pass the same trial."""
        if self.state.try_again(key) > ATTEMPTS:
            self.state.condemn(key, f"agent or device died {ATTEMPTS} times while trying it")
            raise Rejected(key, self.state.quarantine[key])
        self.state.save(self.shelf.state)
        serving = self.shelf.current()
        reference = serving if serving not in (None, key) and self.shelf.holds(str(serving)) else None
        try:
            report = self._trial(self._request(key, reference))
        except Rejected as error:
            self._blame(key, reference, error)
            raise
        if report.engine:
            self.state.engines[key] = report.engine
        self._say(f"{key}: {report.told(self.config.trial.canary, reference is not None)}")

    def _request(self, key: str, reference: str | None) -> TrialRequest:
        serving = str(self.shelf.folder(reference)) if reference else None
        return TrialRequest(str(self.shelf.folder(key)), serving, str(self._engines.folder), self.config.trial, self.config.queue)

    def _blame(self, key: str, reference: str | None, error: Rejected) -> None:
        if reference is None:  # nothing to compare with: a few more tries, then no more
            if self.state.attempts.get(key, 0) >= ATTEMPTS:
                self.state.condemn(key, str(error))
            return
        self.state.attempts.pop(key, None)
        try:
            self._trial(self._request(reference, None))
        except Rejected as same:
            raise StepFailed("trial", f"this device cannot run the model in use either ({same})", "mend the device") from error
        self.state.condemn(key, str(error))

    def _prune(self, keep: int | None = None) -> None:
        before = next((k for k in reversed(self.state.good) if k != self.shelf.current()), None)
        precious = [key for key in (self.shelf.current(), before, self.state.wanted) if key]
        for key in self.shelf.prune(keep or self.config.keep, precious):
            self._engines.forget(key)
