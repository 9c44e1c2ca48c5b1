"""Every write of the agent, in the order that survives a power cut: data on the disk first, then the name that shows it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from glyphyard.core import files
from glyphyard.core.errors import BadInput, StepFailed

TEMPORARY = ".new-"  # names that begin so are never read, and are swept away at the next start


class DiskFailed(StepFailed):
    """The device's own disk did not take what was to be written."""


class Busy(StepFailed):
    """Another agent holds the lock."""


def writing(path: Path) -> AbstractContextManager[None]:
    """Turn an `OSError` of the disk into a `DiskFailed` of one line, so that no one takes it for the network's."""
    return files.writing(path, "free some space or check the disk", DiskFailed)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries (new names, renames) on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Write all of `data` to an open file; a write may take less than it was given."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON to `path`: after a power cut there is the old file or the new one, whole."""
    data = (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, path)
    sync_folder(path.parent)


def touch(path: Path) -> None:
    """Make an empty file unless it is there."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    sync_folder(path.parent)


def point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target` in one step: readers see the old target or the new one, never none."""
    temporary = link.with_name(f"{TEMPORARY}{link.name}")
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, link)
    sync_folder(link.parent)


def move(source: Path, target: Path) -> None:
    """Rename a folder whose files are on the disk already, and put both parents' entries there, too."""
    sync_folder(source)
    os.rename(source, target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; one that is not there is no error."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def sweep(folder: Path) -> None:
    """Remove what a power cut left half made in `folder`."""
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        remove(path)


def make(folder: Path) -> Path:
    """Create a folder of the agent's own; a link in its place is refused, since it would lead writes elsewhere."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(str(folder), f"cannot create this folder ({error.strerror})", "check `root` and its rights") from error
    if folder.is_symlink():
        raise BadInput(str(folder), "expected a folder, found a symbolic link", "remove it")
    return folder


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the agent's lock; a second agent is `Busy`. The death of the process lets go."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise Busy(str(path), "another sync agent looks after this folder", "one is enough; stop the other") from None
        yield
    finally:
        os.close(handle)
