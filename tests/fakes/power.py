"""A power cut at a chosen write: the n-th change that a process makes to the disk is its last.

`kill`: the process dies before that change. `torn`: half of the bytes of a write arrive. `lost`: what was written but not
yet fsynced is gone, and names that no fsync has followed are as they were: the order that a journalling file system such
as ext4 (JetPack's) keeps, with nothing that it does not promise.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOWS = ("kill", "torn", "lost")
OPERATIONS = ("open", "write", "fsync", "replace", "rename", "symlink", "unlink", "mkdir", "rmdir", "ftruncate")
_REAL: dict[str, Any] = {name: getattr(os, name) for name in OPERATIONS}


class Tripwire:
    """Counts the changes below `root`; at number `at`, `strike` is called with the operation's name and arguments."""

    def __init__(self, root: Path, at: int, strike: Callable[[str, tuple[Any, ...]], None]) -> None:
        self.root, self.at, self.count, self._strike = str(root), at, 0, strike
        self._durable: dict[int, int] = {}  # inode → bytes that an fsync has put on the disk
        self._undo: list[Callable[[], None]] = []

    @contextmanager
    def armed(self) -> Iterator[Tripwire]:
        """Stand between this process and its file functions."""
        for name in OPERATIONS:
            setattr(os, name, self._wrapped(name))
        try:
            yield self
        finally:
            for name, real in _REAL.items():
                setattr(os, name, real)

    def lose(self) -> None:
        """Take away what is not durable, as a power cut would."""
        for undo in reversed(self._undo):
            undo()
        for folder, _, files in os.walk(self.root):
            for file in files:
                path = os.path.join(folder, file)
                status = os.lstat(path)
                if (size := self._durable.get(status.st_ino, status.st_size)) < status.st_size and not os.path.islink(path):
                    os.truncate(path, size)

    def _wrapped(self, name: str) -> Callable[..., Any]:
        real = _REAL[name]

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if not self._mine(name, args, kwargs):
                return real(*args, **kwargs)
            self.count += 1
            if self.count == self.at:
                self._strike(name, args)
            return self._noted(name, real, args, kwargs)

        return wrapped

    def _mine(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if name == "open" and not (len(args) > 1 and args[1] & os.O_CREAT):
            return False
        return self._path(name, args, kwargs).startswith(self.root)

    def _path(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if name in ("write", "fsync", "ftruncate"):
            try:
                return os.readlink(f"/proc/self/fd/{args[0]}")
            except OSError:
                return ""
        path = os.fspath(args[1] if name in ("symlink", "replace", "rename") else args[0])
        if kwargs.get("dir_fd") is not None:
            return os.path.join(os.readlink(f"/proc/self/fd/{kwargs['dir_fd']}"), path)
        return str(path)

    def _noted(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        path = self._path(name, args, kwargs)
        if name == "fsync":
            result = real(*args, **kwargs)
            status = os.fstat(args[0])
            self._durable[status.st_ino] = status.st_size
            self._undo.clear()  # a journal commits in order
            return result
        if name in ("write", "ftruncate"):
            status = os.fstat(args[0])
            self._durable.setdefault(status.st_ino, status.st_size)
            result = real(*args, **kwargs)
            self._durable[status.st_ino] = min(self._durable[status.st_ino], os.fstat(args[0]).st_size)
            return result
        before = _remembered(path)
        result = real(*args, **kwargs)
        if name == "open":
            if before is None:
                self._durable[os.fstat(result).st_ino] = 0
                self._undo.append(lambda: _REAL["unlink"](path))
            elif args[1] & os.O_TRUNC:
                self._durable[os.fstat(result).st_ino] = 0
        elif name in ("replace", "rename"):
            source = os.fspath(args[0])
            self._undo.append(lambda: (_REAL["rename"](path, source), _restore(path, before)))  # type: ignore[func-returns-value]
        elif name in ("symlink", "mkdir"):
            self._undo.append(lambda: _REAL["rmdir" if name == "mkdir" else "unlink"](path))
        else:
            self._undo.append(lambda: _restore(path, before))
        return result


def _remembered(path: str) -> tuple[str, Any] | None:
    if os.path.islink(path):
        return "link", os.readlink(path)
    if os.path.isdir(path):
        return "folder", None
    return ("file", Path(path).read_bytes()) if os.path.exists(path) else None


def _restore(path: str, before: tuple[str, Any] | None) -> None:
    if before is None:
        return
    kind, value = before
    if kind == "link":
        _REAL["symlink"](value, path)
    elif kind == "folder":
        _REAL["mkdir"](path)
    else:
        Path(path).write_bytes(value)


def cut_power(work: Callable[[], object], root: Path, at: int, how: str) -> bool:
    """Run `work` in a forked child whose power is cut at change number `at`; False if it ended before that."""
    child = os.fork()
    if child == 0:
        _in_the_dark(work, root, at, how)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert os.WIFEXITED(status), f"the child ended with status {status}"
    assert os.WEXITSTATUS(status) == 0, "the child raised; see its traceback above"
    return False


def _in_the_dark(work: Callable[[], object], root: Path, at: int, how: str) -> None:
    try:

        def strike(name: str, args: tuple[Any, ...]) -> None:
            if how == "torn" and name == "write":
                _REAL["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
            if how == "lost":
                wire.lose()
            os.kill(os.getpid(), signal.SIGKILL)

        wire = Tripwire(root, at, strike)
        with wire.armed():
            work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


@contextmanager
def failing_disk(root: Path, at: int, code: int = errno.ENOSPC, once: bool = False) -> Iterator[Tripwire]:
    """From the `at`-th change on (only at it, when `once`) the disk says `code`; removing things still works."""

    def strike(name: str, args: tuple[Any, ...]) -> None:
        raise OSError(code, os.strerror(code))

    wire = Tripwire(root, at, strike)
    if not once:
        real_mine = wire._mine

        def mine(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
            if not real_mine(name, args, kwargs) or name in ("unlink", "rmdir"):
                return False
            if wire.count >= at:
                wire.count += 1
                raise OSError(code, os.strerror(code))
            return True

        wire._mine = mine  # type: ignore[method-assign]
    with wire.armed():
        yield wire


def copied(source: Path, target: Path) -> Path:
    """Return a fresh copy of a folder, links as links."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target
