"""Reading the members of a .tar, .tgz or .zip from strangers, without unpacking it: nothing is ever written by its names."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from glyphyard.core.errors import BadInput

SUFFIXES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip")
BLOCK = 1 << 20
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Limits:
    """What an honest archive stays below: members, bytes of one and of all, and how often larger it is unpacked."""

    members: int = 500_000
    member_bytes: int = 256 << 20
    total_bytes: int = 32 << 30
    ratio: int = 100
    ratio_from_bytes: int = 64 << 20  # text may shrink a lot; a bomb has to be large to hurt


HONEST = Limits()


def is_archive(path: Path) -> bool:
    """Return whether a file is called like an archive that `members` reads."""
    return path.name.lower().endswith(SUFFIXES)


def members(path: Path, wanted: Callable[[str], bool], limits: Limits = HONEST) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the wanted members in their order.

    A name that leaves the archive's folder, a link, a device, an encrypted or a broken member, and an archive that grows
    beyond `limits` are a `BadInput` that names archive and member; so is one hidden behind honest members.
    """
    total, packed = 0, max(path.stat().st_size, 1)
    try:
        for number, (name, size, opened) in enumerate(_zip(path) if path.name.lower().endswith(".zip") else _tar(path), 1):
            _check_name(path, name)
            total += size
            most = max(limits.ratio_from_bytes, packed * limits.ratio)
            if number > limits.members or size > limits.member_bytes or total > min(limits.total_bytes, most):
                told = f"{total / 1e6:,.0f} MB in {number} members from {packed / 1e6:,.1f} MB"
                raise BadInput(
                    f"{path}:{name}", f"[GY090] this archive grows too large ({told})", "unpack it yourself if you trust it"
                )
            if wanted(name):
                with opened() as stream:
                    yield name, _read(stream, size, f"{path}:{name}")
    except BROKEN as error:
        raise BadInput(str(path), f"[GY091] not an archive that can be read ({str(error)[:80]})", "download it again") from error


def _read(stream: IO[bytes], size: int, where: str) -> bytes:
    """Read what the header announced; one byte more is a lie that could go on for ever."""
    blocks, left = [], size + 1
    while left > 0 and (block := stream.read(min(BLOCK, left))):
        blocks.append(block)
        left -= len(block)
    if left != 1:
        raise BadInput(where, f"[GY091] expected {size} bytes as its header says, found {'more' if not left else 'fewer'}")
    return b"".join(blocks)


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise BadInput(f"{path}:{name[:80]!r}", "[GY092] this name leads out of the archive", "do not trust this archive")


def _tar(path: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if member.isdir():
                continue
            if not member.isreg():
                raise BadInput(f"{path}:{member.name[:80]}", "[GY093] a link or a device, no file", "do not trust this archive")

            def opened(member: tarfile.TarInfo = member) -> IO[bytes]:
                stream = archive.extractfile(member)
                assert stream is not None  # a regular file has content
                return stream

            yield member.name, member.size, opened
            archive.members = []  # type: ignore[attr-defined]  # it would remember every header it has seen


def _zip(path: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                raise BadInput(f"{path}:{info.filename[:80]}", "[GY093] a link or a device, no file", "do not trust this archive")
            if info.flag_bits & 1:
                raise BadInput(f"{path}:{info.filename[:80]}", "[GY091] this member is encrypted", "unpack it yourself")
            yield info.filename, info.file_size, lambda info=info: archive.open(info)  # type: ignore[misc]
