"""The folder in which a dataset is made: published whole or not at all, swept away if its maker died."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glyphyard.core.files import make_folder, writing
from glyphyard.core.folders import making


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target` that becomes `target` on success and vanishes on failure.

    If another run published `target` meanwhile (the same content: its name is a fingerprint) that one stays,
    and readers of it are not disturbed. What killed runs left there is removed.
    """
    make_folder(target.parent)
    with writing(target), making(target, ".*.tmp") as folder:
        yield folder
        folder.chmod(0o755)
        _publish(folder, target)


def _publish(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)  # onto an existing folder that is not empty, this fails: that one is whole
    except OSError:
        if not (target / "manifest.json").is_file():
            raise


def to_disk(path: Path) -> None:
    """Return when the file's bytes are on disk."""
    with path.open("rb+") as written:
        os.fsync(written.fileno())
