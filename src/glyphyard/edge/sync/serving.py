"""What the device serves: a version is made to serve and stays if it is well; if not, the one before it serves again."""

from __future__ import annotations

from glyphyard.core.errors import BadInput
from glyphyard.edge.sync.engines import Say
from glyphyard.edge.sync.service import Service, Unhealthy
from glyphyard.edge.sync.shelf import Shelf
from glyphyard.edge.sync.state import ATTEMPTS, Swap, SyncState


class Serving:
    """Looks after the link `current` and tells the service what it names.

    `damaged`: the version that serves, where it is not whole and there is no other to go back to.
    """

    def __init__(self, shelf: Shelf, state: SyncState, service: Service, say: Say) -> None:
        self._shelf, self._state, self._service, self._say = shelf, state, service, say
        self.damaged: str | None = None

    def swap(self, key: str) -> None:
        """Make a version serve; if it is not well, the one before it serves again. Raises: Unhealthy, BadInput."""
        swap = Swap(key, self._shelf.current())
        self._state.swap = swap
        self._save()  # before the link moves: see `finish`
        self._shelf.point(key)
        self._settle(swap)

    def finish(self) -> bool:
        """End the swap that a power cut broke off; return whether the new version serves. Raises: Unhealthy, BadInput, as `swap`."""
        swap, key = self._state.swap, self._shelf.current()
        if swap is None:
            return False
        if key == swap.new and self._shelf.holds(swap.new):
            if self._state.try_again(swap.new) > ATTEMPTS:
                self._go_back(swap, f"agent or device died {ATTEMPTS} times while it was made to serve", certain=True)
                return False
            self._save()
            self._settle(swap)
            return True
        if key not in (None, swap.new) and self._shelf.holds(str(key)):  # it moved back, or never moved
            self.tell(key)
        self._state.swap = None
        self._save()
        return False

    def mend(self) -> str | None:
        """Return the version that serves, whole; where it is not, the last whole one serves in its place (None: there is none)."""
        self.damaged, key = None, self._shelf.current()
        if key is not None and self._shelf.holds(key):
            return key
        spare = self._shelf.last_whole(self._state.good, key)
        if spare is None:
            self.damaged = key
            return None
        self._say(f"{key or 'no version'} is damaged or missing; going back to {spare}")
        self._shelf.point(spare)
        self.tell(spare)
        self._state.rollbacks += 1
        return spare

    def tell(self, key: str | None) -> None:
        """Tell the service what to serve (None: nothing); a service that cannot be told is said, and no fault of the version."""
        sha256 = self._shelf.verify(key) if key else ""
        try:
            self._service.tell(self._shelf.link, key or "", sha256)
        except Unhealthy as error:
            self._say(str(error))

    def _settle(self, swap: Swap) -> None:
        try:
            self._bring_up(swap.new)
        except (Unhealthy, BadInput) as error:
            self._go_back(swap, str(error))
            raise
        self._state.confirm(swap.new)
        self._state.swaps += 1
        self._save()

    def _go_back(self, swap: Swap, reason: str, certain: bool = False) -> None:
        usable = swap.old is not None and swap.old != swap.new and self._shelf.holds(swap.old)
        old = swap.old if usable else self._shelf.last_whole(self._state.good, swap.new)
        self._shelf.point(old)
        self._state.rollbacks += 1
        if old is None:
            self.tell(None)
            if certain:
                self._state.condemn(swap.new, reason)
            else:  # no version was well here yet: it may be the service that is not, or is not there
                self._state.attempts.pop(swap.new, None)
        elif self._well(old) or certain:
            self._state.condemn(swap.new, reason)
            self._say(f"{swap.new}: {reason}; back to {old}")
        else:
            self._state.attempts.pop(swap.new, None)
            self._say(f"the service is well neither with {swap.new} nor with {old}: {reason}")
        self._state.swap = None
        self._save()

    def _well(self, key: str) -> bool:
        try:
            self._bring_up(key)
        except Unhealthy:
            return False
        return True

    def _bring_up(self, key: str) -> None:
        sha256 = self._shelf.verify(key)
        self._service.tell(self._shelf.link, key, sha256)
        self._service.wait_until_healthy(key, sha256)

    def _save(self) -> None:
        self._state.save(self._shelf.state)
