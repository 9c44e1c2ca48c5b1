"""Folders that are either whole or absent, and swept away if their maker died."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glyphyard.core.files import make_folder, name_target

LOCK = ".making"
UNLOCKED_S = 3600.0  # a folder without its lock file is just being made, or so old that nobody makes it


@contextmanager
def making(target: Path, whose: str) -> Iterator[Path]:
    """Yield an empty folder, to be renamed onto `target`; it vanishes if it is not.

    It lies beside `target`, in one that holds a lock while its maker lives: the others there that `whose` (a glob) matches and
    nobody holds are removed.
    """
    outer = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        with (outer / LOCK).open("w") as lock:
            with suppress(OSError):  # a file system without locks: nothing is swept there
                fcntl.flock(lock, fcntl.LOCK_EX)
            _sweep(target.parent.glob(whose))
            folder = outer / target.name
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _sweep(folders: Iterable[Path]) -> None:
    """Remove temporary folders whose maker is dead: its lock can be taken."""
    for left in folders:
        try:
            with (left / LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except FileNotFoundError:
            if left.exists() and time.time() - left.stat().st_mtime > UNLOCKED_S:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # somebody works in it


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder; rename it onto `target` on success (an older one is replaced)."""
    target = Path(target)
    make_folder(target.parent)
    # Only what was to be this very folder is swept: what else lies beside it is somebody's own.
    with making(target, f".{glob.escape(target.name)}.????????.tmp") as temporary:
        try:
            yield temporary
            temporary.chmod(0o755)
            _put_in_place(temporary, target)
        except OSError as error:
            name_target(error, temporary, target)
            raise


def _put_in_place(temporary: Path, target: Path) -> None:
    # POSIX cannot swap two folders: the old one steps aside and comes back if the new one cannot take its place.
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
