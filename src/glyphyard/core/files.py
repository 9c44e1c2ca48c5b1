"""Files that are either whole or absent, and hashes of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput, GlyphyardError, NotWritten


@contextmanager
def writing(
    path: Path, remedy: str = "free some space or choose another folder", failure: type[GlyphyardError] = NotWritten
) -> Iterator[None]:
    """Turn an `OSError` while something is written to `path` (a full disk) into a `failure` of one line.

    Of two, one within the other, the outer names its path: the inner one may lie in a folder that only we know.
    """
    try:
        yield
    except NotWritten as error:
        raise failure(str(path), error.problem, remedy) from error
    except OSError as error:
        raise failure(str(path), f"cannot be written ({error.strerror or error})", remedy) from error


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` on success, remove it on any failure.

    The file's bytes are on disk before the rename, so a crash leaves the old file or the new one, never half of one.
    """
    target = Path(target)
    make_folder(target.parent)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        name_target(error, temporary, target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def name_target(error: OSError, temporary: Path, target: Path) -> None:
    """Let an error name the file as who reads of it knows it; a write that fails names none."""
    # A name would hide a text without a number.
    if error.errno is not None:
        error.filename = str(error.filename or temporary).replace(str(temporary), str(target))


def make_folder(folder: Path) -> Path:
    """Create `folder` and its parents; a place that cannot be written is a `BadInput`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"cannot create this folder ({error.strerror})"
        raise BadInput(str(folder), problem, "choose a folder you may write to") from error
    if not os.access(folder, os.W_OK):
        raise BadInput(str(folder), "this folder is read-only", "choose a folder you may write to")
    return folder


def write_text(target: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write `value` as readable JSON, atomically; NaN is refused because JSON has none."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or broken one is a `BadInput` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(str(path), "no such file", f"name the folder that holds {Path(path).name}") from error
    except (OSError, ValueError, RecursionError) as error:  # the last: brackets in brackets, too deep to follow
        raise BadInput(str(path), f"expected a JSON file, found none that can be read ({error})") from error


def is_pickled(path: Path) -> bool:
    """Say whether a file begins as torch's weight files do, new (a ZIP archive) or old (a pickle)."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80"))


def sha256_bytes(data: bytes) -> str:
    """Return the hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes, read in pieces."""
    with Path(path).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(opened)


def _digest(opened: Any) -> str:
    # Python 3.10 (JetPack 6) has no hashlib.file_digest.
    digest = hashlib.sha256()
    while block := opened.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces; anything JSON cannot say is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return a 16-digit fingerprint of a JSON value; equal values have equal fingerprints on every machine."""
    return sha256_bytes(canonical_json(value).encode("utf-8"))[:16]
