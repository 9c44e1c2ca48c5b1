"""Try every fault that we can think of on the sync agent, and print the table: tried, served whole, healed.

    .venv/bin/python tools/sync_faults.py            # all of them, a minute or two
    .venv/bin/python tools/sync_faults.py --stride 7 # every seventh power cut

After each fault the device must serve a whole, verified, published model (or none, where it had none), and the polls that
follow, with the fault gone, must bring what the alias names. Single faults are in `tests/fakes/sync_cases/`, the registry
is `tests/fakes/registry_server.py`.
"""

from __future__ import annotations

import argparse
import errno
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.power import HOWS, cut_power, failing_disk
from fakes.registry_server import FakeRegistry, Faults
from fakes.sync_cases import cases
from fakes.sync_cases.arrange import flip
from fakes.sync_cases.case import Case
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
