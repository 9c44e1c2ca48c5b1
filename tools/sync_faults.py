"""Try every fault that we can think of on the sync agent, and print the table: tried, served whole, healed.

    .venv/bin/python tools/sync_faults.py            # all of them, a minute or two
    .venv/bin/python tools/sync_faults.py --stride 7 # every seventh power cut

After each fault the device must serve a whole, verified, published model (or none, where it had none), and the polls that
follow, with the fault gone, must bring what the alias names. The registry is `tests/fakes/registry_server.py`.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.power import HOWS, cut_power, failing_disk
from fakes.registry_server import FakeRegistry, Faults
from fakes.sync_world import World

from glyphyard.core.errors import StepFailed
from glyphyard.edge.sync import disk
from glyphyard.edge.sync.state import ATTEMPTS

HEAL = 3  # polls that may be needed


@dataclass
class Row:
    """One line of the table."""

    group: str
    fault: str
    tried: int = 0
    whole: int = 0
    healed: int = 0
    trouble: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.group}: {self.fault}: {self.tried} tried, {self.whole} whole, {self.healed} healed"

    @property
    def good(self) -> bool:
        """True if nothing went wrong, and something was tried."""
        return 0 < self.tried == self.whole == self.healed and not self.trouble


@dataclass
class Case:
    """One fault that one poll meets.

    `outcome`: what the poll under the fault may say. `during`: the versions that may serve after it. `after`: the version
    that serves when the fault is gone.
    """

    group: str
    fault: str
    arrange: Callable[[World], object]
    outcome: tuple[str, ...]
    during: tuple[int | None, ...] = (1,)
    after: int | None = 2
    start: str = "one"
    wanted: int = 2
    polls: int = 1  # under the fault
    mend: Callable[[World], object] | None = None
    config: dict[str, object] = field(default_factory=dict)


def run_case(world: World, case: Case) -> Row:
    """Meet one fault and heal."""
    row = Row(case.group, case.fault, 1)
    try:
        world.fresh(case.start)
        world.registry.point("champion", case.wanted)
        with ExitStack() as stack:
            arranged = case.arrange(world)
            if hasattr(arranged, "__enter__"):
                stack.enter_context(arranged)
            for _ in range(case.polls):
                state = world.poll(**case.config)
            assert state.outcome in case.outcome, f"outcome {state.outcome}: {state.message}"
        assert world.serving() in case.during, f"serves {world.serving()}"
        row.whole = 1
        world.registry.faults, world.registry.before = Faults(), lambda path, query: None
        if case.mend:
            case.mend(world)
        healed(world, case.after)
        row.healed = 1
    except Exception as error:  # a broken model, a bug: whatever it is belongs into the table
        row.trouble.append(f"{type(error).__name__} {error} [{'; '.join(world.said[-3:])}]")
    return row


def healed(world: World, after: int | None) -> None:
    """Poll without a fault; the wanted version serves, nothing half made is left, and another poll changes nothing."""
    for _ in range(HEAL):
        state = world.poll()
        if world.serving() == after and state.outcome in ("current", "updated", "quarantined", "refused"):
            break
    assert world.serving() == after, f"healed to {world.serving()}, expected {after}: {state.outcome} {state.message}"
    world.clean()
    assert after is None or world.poll().serving == world.keys[after - 1]


# Power cuts


@dataclass
class Flow:
    """A poll whose every write is a place to die."""

    name: str
    start: str
    wanted: int
    after: int | None
    arrange: Callable[[World], object] = lambda world: None
    during: tuple[int | None, ...] = (1, 2)
    damaged: bool = False  # what serves is broken before the power cut


FLOWS = (
    Flow("first install", "empty", 1, 1, during=(None, 1)),
    Flow("upgrade 1 → 2", "one", 2, 2),
    Flow("upgrade 2 → 3 with pruning", "two", 3, 3, during=(2, 3)),
    Flow("rollback 2 → 1, installed", "two", 1, 1),
    Flow("upgrade to a model that is not healthy", "one", 2, 1, lambda w: w.service.sick.add(w.keys[1])),
    Flow("upgrade to a model that fails its trial", "one", 2, 1, lambda w: w.rejects.add(w.keys[1])),
    Flow("first install of a model that fails its trial", "empty", 1, None, lambda w: w.rejects.add(w.keys[0]), during=(None,)),
    Flow(
        "the only version is damaged", "one", 1, 1, lambda w: flip(w.root / "versions" / w.keys[0] / "model.onnx"), damaged=True
    ),
    Flow("what serves is damaged", "two", 2, 2, lambda w: flip(w.root / "versions" / w.keys[1] / "model.onnx"), damaged=True),
)


def power_cuts(world: World, flow: Flow, how: str, stride: int = 1, first: int = 1) -> Row:
    """Cut the power at every write of a flow, one after the other (every `stride`-th)."""
    row = Row("power cut", f"{how} at each write: {flow.name}")
    at = first
    while True:
        try:
            world.fresh(flow.start)
            world.registry.point("champion", flow.wanted)
            flow.arrange(world)
            if not cut_power(world.poll, world.root, at, how):
                return row
            row.tried += 1
            if not flow.damaged:
                assert world.serving() in flow.during, f"serves {world.serving()}"
            row.whole += 1
            healed(world, flow.after)
            row.healed += 1
        except Exception as error:
            row.trouble.append(f"at change {at}: {type(error).__name__} {error} [{'; '.join(world.said[-3:])}]")
            if len(row.trouble) > 3:
                return row
        at += stride


def disk_faults(world: World, code: int, once: bool, stride: int = 1) -> Row:
    """Let the disk refuse from (or only at) every change of an upgrade on."""
    row = Row("disk", f"{errno.errorcode[code]} {'at' if once else 'from'} each change of an upgrade")
    at = 1
    while True:
        try:
            world.fresh("one")
            world.registry.point("champion", 2)
            with failing_disk(world.root, at, code, once) as wire:
                for _ in range(1 if once else ATTEMPTS + 1):
                    state = world.poll()
            if wire.count < at:
                return row
            row.tried += 1
            assert world.serving() in (1, 2), f"serves {world.serving()}"
            assert not state.quarantine, f"quarantined: {state.quarantine}"
            row.whole += 1
            healed(world, 2)
            row.healed += 1
        except Exception as error:
            row.trouble.append(f"at change {at}: {type(error).__name__} {error} [{'; '.join(world.said[-3:])}]")
            if len(row.trouble) > 3:
                return row
        at += stride


# Single faults


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


def to(number: int) -> Callable[[World], object]:
    """Return what moves the alias."""
    return lambda world: world.registry.point("champion", number)


OUT, BAD, SICK, FAILED, FINE = ("unreachable",), ("refused",), ("unhealthy",), ("failed",), ("updated", "current")
ENDLESS = ("[" * 100_000).encode()


def registry_cases() -> Iterator[Case]:
    """Yield what a registry can do to an agent."""
    group = "registry"
    yield Case(group, "down", closed_port, OUT)
    yield Case(group, "drops every connection", faulty(drop=True), OUT)
    yield Case(group, "says nothing", faulty(silence_s=0.6), OUT)
    yield Case(group, "sends elsewhere", faulty(redirect="http://127.0.0.1:1/"), OUT)
    for status in (400, 401, 403, 404, 429, 500, 502, 503):
        yield Case(group, f"HTTP {status}", faulty(status=status), OUT)
    for count in range(2, 9):
        fail = lambda world: setattr(world.registry.faults, "status", 500)  # noqa: E731
        yield Case(group, f"HTTP 500 from request {count} on", after_requests(count, fail), (*OUT, *FINE))
    answers = {
        "no JSON": b"<html>Bad gateway</html>",
        "an empty object": b"{}",
        "a list": b"[]",
        "nothing": b"",
        "half an object": b'{"model_version": {"vers',
        "5 MiB": b'{"x": "' + b"y" * (5 << 20) + b'"}',
        "100,000 brackets": ENDLESS,
        "tags that are a number": b'{"model_version": {"version": "2", "tags": 7}}',
        "a version that is a path": b'{"model_version": {"version": "../../etc", "tags": []}}',
    }
    for name, body in answers.items():
        yield Case(group, f"answers {name}", faulty(garbage=body), (*OUT, *BAD))
    yield Case(group, "alias gone", lambda w: w.registry.aliases.clear(), OUT, mend=to(2))
    yield Case(
        group,
        "model gone",
        lambda w: setattr(w.registry, "model", "x"),
        OUT,
        mend=lambda w: setattr(w.registry, "model", "reader"),
    )
    untagged = lambda w: w.registry.versions["2"].tags.pop("bundle_sha256")  # noqa: E731
    yield Case(group, "version without bundle_sha256", untagged, BAD, mend=lambda w: w.publish())
    failing = lambda w: w.registry.versions["2"].tags.update(verdict="FAIL")  # noqa: E731
    yield Case(group, "champion without a PASS", failing, BAD, mend=lambda w: w.publish())
    yield Case(group, "HTTP 500 on a fresh device", faulty(status=500), OUT, (None,), start="empty")


def download_cases() -> Iterator[Case]:
    """Yield what can happen to bytes on their way."""
    group = "download"
    for at in (0, 1, 300, 699, 700, 701, 1200):
        yield Case(group, f"cut at byte {at}", faulty(cut_at=at), OUT)
    yield Case(group, "cut once, gone on with Range", faulty(cut_at=300, cut_times=1), OUT)
    yield Case(group, "cut, a server without Range", lambda w: faulty(cut_at=300, no_range=True)(w), OUT)
    yield Case(
        group,
        "another range than asked for",
        lambda w: (faulty(cut_at=300)(w), setattr(w.registry.faults, "wrong_range", True)),
        OUT,
        polls=2,
    )
    yield Case(group, "too slow", faulty(trickle_s=0.03), OUT, config={"registry": {"timeout_s": 0.1, "slowest_kib_per_s": 1e6}})
    for name in ("bundle.json", "golden.npz", "model.onnx"):
        yield Case(group, f"one byte of {name} flipped once", faulty(flip=name, flip_times=1), BAD)
        yield Case(group, f"{name} is another file", faulty(replace={name: b"other bytes"}), (*OUT, *BAD))
        yield Case(group, f"{name} has more bytes than stated", faulty(longer=name), BAD, after=1)
        flipped = lambda w, name=name: w.registry.faults.__setattr__("flip", name)  # noqa: E731
        yield Case(group, f"one byte of {name} always flipped: quarantine", flipped, BAD, polls=ATTEMPTS, after=1)
    stale = lambda w: [(staged(w) / f".new-{'0' * 32}").write_bytes(b"x" * 50)]  # noqa: E731
    yield Case(group, "a stranger in staging", stale, FINE, (2,))
    yield Case(group, "a wrong part in staging", lambda w: parts(w, lambda data: b"\0" * (len(data) // 2)), FINE, (2,))
    yield Case(group, "a part that is too long", lambda w: parts(w, lambda data: data * 2), FINE, (2,))
    yield Case(group, "a part that is whole and wrong", lambda w: parts(w, lambda data: b"\0" * len(data)), FINE, (2,))
    yield Case(group, "a part that is whole and right", lambda w: parts(w, lambda data: data), FINE, (2,))


def parts(world: World, change: Callable[[bytes], bytes]) -> None:
    """Write partial files of version 2 as an earlier try might have left them."""
    files = world.registry.versions["2"].files
    hashes = json.loads(files["bundle.json"])["files"]
    for name, sha256 in hashes.items():
        (staged(world) / f".new-{sha256[:32]}").write_bytes(change(files[name]))


def hostile_cases() -> Iterator[Case]:
    """Yield what someone who owns the registry may try."""
    group = "hostile artifact"
    for name in ("../evil", "/etc/evil", "a/../../evil", "..", "a//b", "..\\evil", "C:evil", "%2e%2e/evil", "a\nb", "x" * 300):
        yield Case(group, f"lists {name[:20]!r}", listed(name), BAD, after=1)
        yield Case(group, f"bundle.json names {name[:20]!r}", named(name), BAD, after=1)
    yield Case(group, "bundle.json names a file that is not there", named("more.bin"), BAD, after=1)
    yield Case(group, "bundle.json names itself", named("bundle.json"), BAD, after=1)
    yield Case(group, "a file of 1 TiB", listed("model.onnx", 1 << 40), BAD, after=1)
    yield Case(group, "a file of unknown size", listed("model.onnx", -1), BAD, after=1)
    yield Case(group, "1,000 files", lambda w: [listed(f"f{i}")(w) for i in range(1000)], BAD, after=1)
    yield Case(group, "nine folders deep", listed("/".join("abcdefghi")), BAD, after=1)
    yield Case(group, "bundle.json of 9 MiB", listed("bundle.json", 9 << 20), BAD, after=1)
    yield Case(group, "no bundle.json", lambda w: w.registry.versions["2"].files.pop("bundle.json"), BAD, after=1)
    yield Case(group, "a schema of the future", edited(schema_version=99), BAD, after=1)
    yield Case(group, "an unknown key", edited(surprise=1), BAD, after=1)
    yield Case(group, "another task", edited(task="segmentation"), BAD, after=1)
    yield Case(group, "no model among its files", lambda w: w.forge(2, lambda m: m["files"].pop("model.onnx")), BAD, after=1)
    elsewhere = lambda w: setattr(w.registry, "answer", _elsewhere(w.registry.answer))  # noqa: E731
    yield Case(group, "its files lie elsewhere", elsewhere, BAD, after=1, mend=lambda w: w.registry.__dict__.pop("answer"))
    yield Case(
        group, "a link in place of staging", linked(lambda w: w.root / "staging"), FAILED, mend=remove_link(Path("staging"))
    )
    yield Case(group, "a link in place of the version's staging", linked(lambda w: w.root / "staging" / w.keys[1]), FINE, (2,))
    yield Case(group, "a link in place of a staged file", linked(lambda w: staged(w) / "model.onnx"), FINE, (2,))
    part = lambda w: staged(w) / f".new-{json.loads(w.registry.versions['2'].files['bundle.json'])['files']['model.onnx'][:32]}"  # noqa: E731
    yield Case(group, "a link in place of a partial file", linked(part), FINE, (2,))
    yield Case(group, "a link in place of the version", linked(lambda w: w.root / "versions" / w.keys[1]), FINE, (2,))
    yield Case(group, "a link in place of the state", linked(lambda w: w.root / ".new-state.json"), FINE, (2,))


def _elsewhere(answer: Callable[..., tuple[int, object]]) -> Callable[..., tuple[int, object]]:
    def other(path: str, query: dict[str, str]) -> tuple[int, object]:
        status, value = answer(path, query)
        if isinstance(value, dict) and "model_version" in value:
            value["model_version"]["source"] = "file:///etc"
        return status, value

    return other


def service_cases() -> Iterator[Case]:
    """Yield what the service and the trial can say."""
    group = "service"
    yield Case(
        group, "loads, then fails its health check: back, quarantine", lambda w: w.service.sick.add(w.keys[1]), SICK, after=1
    )
    yield Case(group, "not retried when it was bad", lambda w: w.service.sick.add(w.keys[1]), ("quarantined",), after=1, polls=3)
    yield Case(group, "sick with every model", lambda w: w.service.sick.add("*"), SICK, mend=lambda w: w.service.sick.clear())
    deaf = lambda w: setattr(w.service, "deaf", True)  # noqa: E731
    yield Case(group, "cannot be told", deaf, SICK, mend=lambda w: setattr(w.service, "deaf", False))
    sick = lambda w: w.service.sick.add("*")  # noqa: E731
    yield Case(group, "sick on a fresh device", sick, SICK, (None,), start="empty", mend=lambda w: w.service.sick.clear())
    yield Case(
        group, "sick for ever on a fresh device: quarantine", sick, ("quarantined",), (None,), None, "empty", polls=ATTEMPTS + 1
    )
    group = "trial"
    yield Case(group, "the new model reads otherwise here: quarantine", lambda w: w.rejects.add(w.keys[1]), BAD, after=1)
    yield Case(group, "no model runs here", lambda w: w.rejects.add("*"), FAILED, mend=lambda w: w.rejects.clear())
    yield Case(
        group, "no model runs here, five polls", lambda w: w.rejects.add("*"), FAILED, polls=5, mend=lambda w: w.rejects.clear()
    )


def alias_cases() -> Iterator[Case]:
    """Yield an alias that moves while a version is installed."""
    group = "alias"
    for count in range(1, 10):
        yield Case(group, f"2 → 3 before request {count}", after_requests(count, to(3)), FINE, (2, 3), 3)
    for count in range(2, 8):
        yield Case(group, f"2 → 1 before request {count}", after_requests(count, to(1)), FINE, (1,), 1)

    def flap(world: World) -> None:
        turn = iter(range(10**6))
        world.registry.before = lambda path, query: (
            path.endswith("alias") and world.registry.point("champion", 2 + next(turn) % 2)
        )

    yield Case(group, "2 → 3 → 2 → 3 … at every look", flap, OUT, mend=to(2))
    there_and_back = on_download(lambda w, n: w.registry.point("champion", 3 if n % 2 else 2))
    yield Case(group, "to 3 and back to 2 with every download", there_and_back, (*OUT, *FINE), (1, 2, 3), mend=to(2))


def device_cases() -> Iterator[Case]:
    """Yield what can happen to the device's own files, clock and disk."""
    group = "clock"
    for name, wall in {"1970": 0.0, "2100": 4.1e9}.items():
        yield Case(group, f"jumps to {name} and back at every look", lambda w, wall=wall: clock(w, wall), FINE, (2,))
        yield Case(group, f"{name}, registry down", lambda w, wall=wall: (faulty(status=500)(w), clock(w, wall))[1], OUT)
    group = "disk"
    yield Case(group, "nearly full", little_space, FAILED)
    group = "state file"
    for name, text in {
        "empty": "",
        "half": '{"model": "rea',
        "a list": "[]",
        "of another model": '{"model": "x", "alias": "champion"}',
        "with an unknown key": '{"model": "reader", "alias": "champion", "zzz": 1}',
        "100,000 brackets": ENDLESS.decode(),
        "a swap to nowhere": '{"model": "reader", "alias": "champion", "swap": {"new": "9-0000000000000000", "old": null}}',
    }.items():
        yield Case(group, name, states(text), FINE, (2,))
    yield Case(group, "gone", lambda w: (w.root / "state.json").unlink(), FINE, (2,))
    group = "what serves"
    yield Case(group, "link gone", relink(None), FINE, (2,))
    yield Case(group, "link gone, registry down", lambda w: (relink(None)(w), faulty(status=500)(w)), OUT)
    yield Case(group, "link to nowhere, registry down", lambda w: (relink("versions/9-0")(w), faulty(status=500)(w)), OUT)
    yield Case(group, "link out of the folder, registry down", lambda w: (relink("/etc")(w), faulty(status=500)(w)), OUT)
    for name in ("model.onnx", "golden.npz", "bundle.json"):
        hurt = lambda w, name=name: flip(serving_folder(w) / name)  # noqa: E731
        yield Case(
            group,
            f"{name} flipped, registry down: the version before",
            lambda w, hurt=hurt: (hurt(w), faulty(status=500)(w)),
            OUT,
            start="two",
        )
        yield Case(group, f"{name} flipped: downloaded again", hurt, FINE, (2,), start="two")
        yield Case(group, f"{name} flipped, the only version", hurt, FINE, (1,), 1, wanted=1)
    gone = lambda w: (serving_folder(w) / "model.onnx").unlink()  # noqa: E731
    yield Case(group, "model.onnx gone", gone, FINE, (2,), start="two")
    yield Case(group, "the whole folder gone", lambda w: shutil.rmtree(serving_folder(w)), FINE, (2,), start="two")
    old = lambda w: flip(w.root / "versions" / w.keys[0] / "model.onnx")  # noqa: E731
    yield Case(group, "the old version damaged, then wanted", old, FINE, (1,), 1, "two", 1)


def cases() -> list[Case]:
    """Return all single faults."""
    makers = (registry_cases, download_cases, hostile_cases, service_cases, alias_cases, device_cases)
    return [case for make in makers for case in make()]


def two_agents(world: World) -> Row:
    """Let a second agent start while one works, and after one was killed at work."""
    row = Row("two agents", "a second one at the same time, and after the first was killed", 2)
    world.fresh("one")
    with disk.only_one(world.root / "lock"):
        try:
            with disk.only_one(world.root / "lock"):
                row.trouble.append("both got the lock")
        except StepFailed:
            row.whole += int(world.serving() == 1)

    def locked_poll() -> None:
        with disk.only_one(world.root / "lock"):
            world.poll()

    world.registry.point("champion", 2)
    cut_power(locked_poll, world.root, 12, "kill")
    row.whole += int(world.serving() in (1, 2))
    locked_poll()
    row.healed = 2 * int(world.serving() == 2)
    return row


def full_file_system(world: World, limit: int) -> Row:
    """Let the kernel refuse files of more than `limit` bytes (RLIMIT_FSIZE) during an upgrade."""
    row = Row("disk", f"no file may grow beyond {limit} bytes (RLIMIT_FSIZE)", 1)
    world.fresh("one")
    world.registry.point("champion", 2)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        world.poll()

    cut_power(limited, world.root, 10**9, "kill")
    try:
        row.whole = int(world.serving() == 1)
        healed(world, 2)
        row.healed = 1
    except Exception as error:
        row.trouble.append(f"{type(error).__name__} {error}")
    return row


def everything(world: World, stride: int, say: Callable[[str], None] = print) -> list[Row]:
    """Try all faults and return the table's rows."""
    rows = []
    for case in cases():
        rows.append(run_case(world, case))
    rows.append(two_agents(world))
    rows += [full_file_system(world, limit) for limit in (100, 600, 1200)]
    for code, once in ((errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, True), (errno.EROFS, False)):
        rows.append(disk_faults(world, code, once, stride))
        say(f"… {rows[-1]}")
    for i, flow in enumerate(FLOWS):
        for j, how in enumerate(HOWS):
            rows.append(power_cuts(world, flow, how, stride, 1 + (i + j) % stride))
            say(f"… {rows[-1]}")
    return rows


def table(rows: list[Row]) -> str:
    """Return the rows as a table, single faults of a group added up, then the sums."""
    merged: dict[tuple[str, str], Row] = {}
    for row in rows:
        name = row.fault if row.tried > 1 else "single faults"
        into = merged.setdefault((row.group, name), Row(row.group, name))
        into.tried, into.whole, into.healed = into.tried + row.tried, into.whole + row.whole, into.healed + row.healed
    total = Row("all", "", *(sum(getattr(r, n) for r in rows) for n in ("tried", "whole", "healed")))
    width = max(len(r.fault) for r in merged.values())
    lines = [f"{'group':<17} {'fault':<{width}} {'tried':>6} {'whole':>6} {'healed':>6}"]
    for row in [*merged.values(), total]:
        lines.append(f"{row.group:<17} {row.fault:<{width}} {row.tried:>6} {row.whole:>6} {row.healed:>6}")
    return "\n".join(lines)


@contextmanager
def a_world() -> Iterator[World]:
    """Yield a device and a registry in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sync-faults-") as folder, FakeRegistry() as registry:
        yield World(Path(folder), registry)


def main() -> int:
    """Print the table; 1 if any fault left a device without a whole model, or was not healed."""
    parser = argparse.ArgumentParser(description="Fault injection for the sync agent.")
    parser.add_argument("--stride", type=int, default=1, help="try every n-th write only")
    parser.add_argument("--verbose", action="store_true", help="one line a fault")
    given = parser.parse_args()
    start = time.monotonic()
    with a_world() as world:
        rows = everything(world, given.stride)
    if given.verbose:
        for row in rows:
            print(row)
    print(table(rows))
    bad = [row for row in rows if not row.good]
    for row in bad:
        print(f"TROUBLE {row.group}: {row.fault}: {' | '.join(row.trouble) or 'not whole or not healed'}")
    print(f"{sum(r.tried for r in rows)} faults in {time.monotonic() - start:.0f} s, {len(bad)} rows with trouble")
    return int(bool(bad))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
