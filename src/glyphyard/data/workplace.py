"""The folder in which a dataset is made: published whole or not at all, swept away if its maker died."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glyphyard.core.files import make_folder, writing

LOCK = ".making"
UNLOCKED_S = 3600.0  # a folder without its lock file is just being made, or so old that nobody makes it


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that becomes `target` on success and vanishes on failure.

    If another run published `target` meanwhile (the same content: its name is a fingerprint) that one stays,
    and readers of it are not disturbed. What killed runs left there is removed.
    """
    make_folder(target.parent)
    with writing(target):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        with (folder / LOCK).open("w") as lock:
            with suppress(OSError):  # a file system without locks: nothing is swept there
                fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(target.parent)
            with writing(target):
                yield folder
                folder.chmod(0o755)
                (folder / LOCK).unlink()
                _publish(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)  # onto an existing folder that is not empty, this fails: that one is whole
    except OSError:
        if not (target / "manifest.json").is_file():
            raise


def _sweep(parent: Path) -> None:
    """Remove temporary folders whose maker is dead: its lock can be taken."""
    for left in parent.glob(".*.tmp"):
        try:
            with (left / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:
            if left.exists() and time.time() - left.stat().st_mtime > UNLOCKED_S:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # somebody works in it


def to_disk(path: Path) -> None:
    """Return when the file's bytes are on disk."""
    with path.open("rb+") as written:
        os.fsync(written.fileno())
