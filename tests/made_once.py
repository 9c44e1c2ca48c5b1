"""What is slow to make and the same for all: made by the first worker of a test run that asks for it, on disk for the others."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

from glyphyard.core.folders import atomic_folder

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"alone-{os.getpid()}")


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder that `make` filled; `name` tells it from others of this test run."""
    folder = Path(gettempdir()) / f"glyphyard-tests-{RUN}" / name
    folder.parent.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with atomic_folder(folder) as made:
                make(made)
    return folder
