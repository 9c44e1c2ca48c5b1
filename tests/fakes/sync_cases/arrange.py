"""What faults are made of: each function arranges one trouble in a world, or returns what arranges it."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from fakes.sync_world import World

ENDLESS = ("[" * 100_000).encode()


def flip(path: Path) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def faulty(**faults: object) -> Callable[[World], object]:
    """Return an arrangement of the registry's faults."""
    return lambda world: [setattr(world.registry.faults, name, value) for name, value in faults.items()]


def after_requests(count: int, do: Callable[[World], object]) -> Callable[[World], object]:
    """Return an arrangement that does something once, before the registry answers its `count`-th request."""

    def arrange(world: World) -> None:
        seen = 0

        def before(path: str, query: dict[str, str]) -> None:
            nonlocal seen
            seen += 1
            if seen == count:
                do(world)

        world.registry.before = before

    return arrange


def on_download(do: Callable[[World, int], object]) -> Callable[[World], object]:
    """Return an arrangement that does something before each download, with its number from 1."""

    def arrange(world: World) -> None:
        seen = 0

        def before(path: str, query: dict[str, str]) -> None:
            nonlocal seen
            if path.endswith("get-artifact"):
                seen += 1
                do(world, seen)

        world.registry.before = before

    return arrange


def listed(name: str, size: int = 5) -> Callable[[World], object]:
    """Return an arrangement in which version 2 lists one more file."""
    return lambda world: world.registry.versions["2"].listed.update({name: size})


def named(name: str) -> Callable[[World], object]:
    """Return an arrangement in which version 2's bundle.json, hashed and tagged as it should be, names one more file."""
    return lambda world: world.forge(2, lambda m: m["files"].update({name: "0" * 64}))


def edited(**changes: object) -> Callable[[World], object]:
    """Return an arrangement in which version 2's bundle.json is edited, hashed and tagged as it should be."""
    return lambda world: world.forge(2, lambda m: m.update(changes))


def manifest(data: bytes) -> Callable[[World], object]:
    """Return an arrangement in which version 2's bundle.json is other bytes, tagged as they should be."""
    return lambda world: world.replace_manifest(2, data)


def staged(world: World) -> Path:
    """Return version 2's staging folder, made."""
    folder = world.root / "staging" / world.keys[1]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def outside(world: World) -> Path:
    """Return a folder outside the device that must stay as it is."""
    folder = world.folder / "outside"
    folder.mkdir(exist_ok=True)
    (folder / "precious").write_text("as it was")
    return folder


def linked(where: Callable[[World], Path]) -> Callable[[World], object]:
    """Return an arrangement with a symbolic link to a folder outside, at `where`."""

    def arrange(world: World) -> None:
        path = where(world)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.symlink_to(outside(world))

    return arrange


def remove_link(path: Path) -> Callable[[World], object]:
    """Return what mends a link that took the place of one of the agent's own folders."""
    return lambda world: (world.root / path).is_symlink() and (world.root / path).unlink()


@contextmanager
def closed_port(world: World) -> Iterator[None]:
    """Let nobody listen where the registry was."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with mock.patch.object(type(world.registry), "url", f"http://127.0.0.1:{port}"):
        yield


@contextmanager
def clock(world: World, wall: float) -> Iterator[None]:
    """Let the wall clock jump between two values at every look."""
    real, turn = time.time, iter(range(10**9))
    with mock.patch("time.time", side_effect=lambda: wall if next(turn) % 2 else real()):
        yield


@contextmanager
def little_space(world: World) -> Iterator[None]:
    """Let the disk be nearly full."""
    with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=5000)):
        yield


def states(text: str) -> Callable[[World], object]:
    """Return an arrangement with another state file."""
    return lambda world: (world.root / "state.json").write_text(text)


def serving_folder(world: World) -> Path:
    """Return the folder that serves."""
    return (world.root / "current").resolve()


def relink(target: str | None) -> Callable[[World], object]:
    """Return an arrangement with another target of `current`, or none."""

    def arrange(world: World) -> None:
        (world.root / "current").unlink()
        if target is not None:
            (world.root / "current").symlink_to(target)

    return arrange


def with_engine(hurt: Callable[[World], object]) -> Callable[[World], object]:
    """Return an arrangement in which the device reads with an engine, to which something happens."""

    def arrange(world: World) -> None:
        world.engine = "orin_nx_jp62"
        assert world.poll().outcome in ("current", "updated")
        world.clean()
        hurt(world)

    return arrange


def to(number: int) -> Callable[[World], object]:
    """Return what moves the alias."""
    return lambda world: world.registry.point("champion", number)
