"""Hashes of image files, remembered by path, size and time of change, so that an unchanged data set is cheap to recognise."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from glyphyard.core.files import sha256_file, write_text

CACHE = "cache/file-hashes.json"
# A file that changed this recently may change again within the same tick of the file system's clock.
SETTLED_NS = 2_000_000_000


def file_hashes(files: Iterable[str], store: Path, known_only: bool = False) -> dict[str, str] | None:
    """Return {path: SHA-256} of files; one that cannot be read has the hash "".

    Only what is new or changed is read. `known_only` reads nothing and returns None if anything would have to be read.
    """
    cached = _load(store)
    stats = {path: _stat(path) for path in dict.fromkeys(files)}
    known = {path: cached[path][2] for path, stat in stats.items() if stat and path in cached and tuple(cached[path][:2]) == stat}
    wanted = [path for path, stat in stats.items() if stat and path not in known]
    if wanted and known_only:
        return None
    with ThreadPoolExecutor(4) as pool:
        known |= dict(zip(wanted, pool.map(_hash, wanted), strict=True))
    now = time.time_ns()
    fresh = {
        path: [*stat, known[path]] for path in wanted if (stat := stats[path]) and known[path] and now - stat[1] > SETTLED_NS
    }
    if fresh:
        write_text(store / CACHE, json.dumps(_load(store) | fresh))
    return {path: known.get(path, "") for path in stats}


def _load(store: Path) -> dict[str, list]:  # type: ignore[type-arg]
    try:
        loaded = json.loads((store / CACHE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a cache that is absent or broken costs time, nothing else
    return loaded if isinstance(loaded, dict) else {}


def _stat(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # a ValueError is a NUL byte in the path
        return None
    return found.st_size, found.st_mtime_ns


def _hash(path: str) -> str:
    try:
        return sha256_file(Path(path))
    except OSError:
        return ""
