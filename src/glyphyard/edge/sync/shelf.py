"""The versions on the device: whole verified folders, and the link `current` that says which one serves."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.edge.catalogue import verify_bundle
from glyphyard.edge.sync import disk
from glyphyard.edge.sync.config import MIB
from glyphyard.edge.sync.registry import Version

FORGIVE = "forgive-"
KEY = re.compile(r"[0-9]{1,12}-[0-9a-f]{16}")


class Shelf:
    """`root/current → versions/<number>-<sha256>`; `root/staging` holds what is not verified yet."""

    def __init__(self, root: Path) -> None:
        self.root, self.versions, self.staging = root, root / "versions", root / "staging"
        self.link, self.state, self.lock = root / "current", root / "state.json", root / "lock"

    def prepare(self) -> None:
        """Make the folders and sweep away what a power cut left."""
        for folder in (self.root, self.versions, self.staging):
            disk.make(folder)
            disk.sweep(folder)

    def folder(self, key: str) -> Path:
        """Return the folder of a version."""
        return self.versions / key

    def current(self) -> str | None:
        """Return the version that `current` points to, None where it points to none of ours."""
        try:
            target = os.readlink(self.link)
        except OSError:
            return None
        folder, _, key = target.partition("/")
        return key if folder == self.versions.name and KEY.fullmatch(key) else None

    def keys(self) -> list[str]:
        """Return the installed versions, oldest number first."""
        found = [p.name for p in self.versions.iterdir() if KEY.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
        return sorted(found, key=lambda key: (int(key.partition("-")[0]), key))

    def verify(self, key: str) -> str:
        """Hash every file of an installed version and return its bundle.json's SHA-256; one that its name does not say is a `BadInput`."""
        folder = self.folder(key)
        if folder.is_symlink():
            raise BadInput(str(folder), "expected a folder, found a symbolic link")
        sha256 = verify_bundle(folder)
        if not sha256.startswith(key.partition("-")[2]):
            raise BadInput(str(folder), f"its bundle.json has SHA-256 {sha256[:16]}…, not the one in its name")
        return sha256

    def holds(self, key: str) -> bool:
        """True if this version is installed and whole; one that is not is removed, unless it serves."""
        try:
            if not self.folder(key).exists():
                return False
            self.verify(key)
        except (BadInput, OSError):
            if self.current() != key:
                disk.remove(self.folder(key))
            return False
        return True

    def last_whole(self, good: Sequence[str], without: str | None) -> str | None:
        """Return the last of the versions that were healthy here and is whole, `without` aside; an untried one never serves."""
        return next((key for key in reversed(good) if key != without and self.holds(key)), None)

    def make_room(self, needed: int, prune: Callable[[], None]) -> None:
        """Prune where `needed` bytes and some more are not free; `StepFailed` where that does not help."""
        if shutil.disk_usage(self.root).free < needed + MIB:
            prune()
        if (free := shutil.disk_usage(self.root).free) < needed + MIB:
            raise StepFailed(str(self.root), f"{free >> 20} MiB free, {needed >> 20} needed", "free some space")

    def stage(self, version: Version) -> Path:
        """Return the version's staging folder; those of other versions are removed, so they cannot fill the disk."""
        mine = self.staging / version.key
        for other in sorted(self.staging.iterdir()):
            if other != mine or other.is_symlink():
                disk.remove(other)
        return disk.make(mine)

    def ask_to_forgive(self, version: str) -> None:
        """Leave a request for the agent that holds the lock; an empty file whose name says it all is never half written."""
        disk.touch(self.root / f"{FORGIVE}{version}")

    def asked_to_forgive(self) -> list[tuple[str, Path]]:
        """Return the versions that somebody asked to forgive, each with the file to remove when that is done."""
        return [(path.name.removeprefix(FORGIVE), path) for path in sorted(self.root.glob(f"{FORGIVE}*"))]

    def shelve(self, version: Version, staged: Path) -> None:
        """Move a verified staging folder to its place."""
        target = self.folder(version.key)
        if target.exists():  # a damaged one that still serves: it steps aside for the whole one
            aside = self.versions / f"{disk.TEMPORARY}{version.key}"
            disk.remove(aside)
            os.rename(target, aside)
        disk.move(staged, target)
        disk.sweep(self.versions)

    def point(self, key: str | None) -> None:
        """Let `current` name `key` in one step; None takes the link away."""
        if key is None:
            disk.remove(self.link)
            disk.sync_folder(self.root)
        elif self.current() != key:
            if self.link.is_dir() and not self.link.is_symlink():
                raise BadInput(str(self.link), "expected the agent's link, found a folder", "move it elsewhere")
            disk.point(self.link, f"{self.versions.name}/{key}")

    def prune(self, keep: int, precious: list[str]) -> list[str]:
        """Remove the oldest versions beyond `keep`; those in `precious` (what serves, what served last) always stay."""
        keys = self.keys()
        spare = [key for key in keys if key not in precious and key != self.current()]
        gone = spare[: max(0, len(keys) - keep)]
        for key in gone:
            disk.remove(self.folder(key))
        return gone
