"""`glyphyard-sync`: the agent as a process, once or for good; works with the `[runtime]` extra alone."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from glyphyard.core.errors import BadInput, ExitCode, GlyphyardError
from glyphyard.edge.sync import disk
from glyphyard.edge.sync.agent import Agent
from glyphyard.edge.sync.config import SyncConfig
from glyphyard.edge.sync.metrics import Board, serve
from glyphyard.edge.sync.shelf import Shelf
from glyphyard.edge.sync.state import GOOD, SyncState

CONFIG = Path("/etc/glyphyard/sync.json")
Say = Callable[[str], None]


def wait_s(config: SyncConfig, failures: int, dice: random.Random) -> float:
    """Return how long to wait before the next poll: doubled with each failure up to `max_wait_s`, and never in step with others."""
    longest = min(config.max_wait_s, config.poll_s * 2 ** min(failures, 30))
    return longest * dice.uniform(0.75, 1.25) if failures == 0 else longest * dice.uniform(0.5, 1.0)


def run_once(config: SyncConfig, say: Say, agent: Agent | None = None) -> int:
    """Poll once and return the exit code: 0 where the device serves what the alias names, 4 where it does not."""
    with disk.only_one(disk.make(Path(config.root)) / "lock"):
        state = (agent or Agent(config, say=say)).poll()
        return ExitCode.OK if state.outcome in GOOD else ExitCode.STEP_FAILED


def run_forever(config: SyncConfig, say: Say, dice: random.Random | None = None) -> int:
    """Poll until the process is told to end (SIGTERM, SIGINT); SIGHUP polls at once.

    Ending in the middle of anything is safe: the next start puts right what was half done.
    """
    dice, board = dice or random.SystemRandom(), Board()
    asleep, nudge = os.pipe()  # not an Event: its lock must not be taken in a signal handler
    os.set_blocking(asleep, False)
    os.set_blocking(nudge, False)
    with disk.only_one(disk.make(Path(config.root)) / "lock"):
        agent, server = Agent(config, say=say), serve(board, config.metrics)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitCode.OK))
        signal.signal(signal.SIGINT, lambda *_: sys.exit(ExitCode.OK))
        signal.signal(signal.SIGHUP, lambda *_: _nudge(nudge))
        try:
            while True:
                state = agent.poll()
                board.show(state)
                # select counts on the monotonic clock: a jump of the wall clock neither stalls nor hurries it.
                select.select([asleep], [], [], wait_s(config, state.failures, dice))
                with suppress(BlockingIOError):
                    os.read(asleep, 4096)
        finally:
            if server:
                server.shutdown()


def _nudge(pipe: int) -> None:
    with suppress(BlockingIOError):
        os.write(pipe, b"!")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; errors are one line, exit codes those of `glyphyard`."""
    parser = argparse.ArgumentParser(
        prog="glyphyard-sync", description="Keep this device on the model that the registry's alias names."
    )
    parser.add_argument("--config", type=Path, default=CONFIG, help="the agent's JSON file (%(default)s); holds no secret")
    parser.add_argument("--once", action="store_true", help="poll once, then end: 0 in sync, 4 not")
    parser.add_argument("--state", action="store_true", help="print the state and end")
    parser.add_argument(
        "--forgive", metavar="VERSION", help="take a version out of quarantine (an agent at work: with its next poll)"
    )
    given = parser.parse_args(arguments)
    try:
        return _main(given)
    except GlyphyardError as error:
        print(f"glyphyard-sync: {error}", file=sys.stderr, flush=True)
        return int(error.exit_code)
    except OSError as error:
        where, problem = error.filename or "disk", error.strerror or error
        print(f"glyphyard-sync: {where}: {problem}; look at this disk and its rights", file=sys.stderr, flush=True)
        return int(ExitCode.STEP_FAILED)


def _main(given: argparse.Namespace) -> int:
    config = SyncConfig.load(given.config)
    if given.state:
        print(json.dumps(_state_of(config).to_json(), indent=2, ensure_ascii=False))
        return ExitCode.OK
    if given.forgive:
        print(_forgive(config, given.forgive))
        return ExitCode.OK
    return run_once(config, _say) if given.once else run_forever(config, _say)


def _state_of(config: SyncConfig) -> SyncState:
    return SyncState.load(Shelf(Path(config.root)).state, config.model, config.alias)


def _forgive(config: SyncConfig, version: str) -> str:
    """Take a version out of quarantine, or ask the agent to that is at work and holds the state; return what was done."""
    if not re.fullmatch(r"[0-9]{1,12}(-[0-9a-f]{16})?", version):
        raise BadInput("--forgive", f"expected a version's number or key, found {version!r}", "see `quarantine` in --state")
    root = disk.make(Path(config.root))
    try:
        with disk.only_one(root / "lock"):
            state = _state_of(config)
            found = state.forgive(version)
            state.save(Shelf(root).state)
    except disk.Busy:
        Shelf(root).ask_to_forgive(version)
        return f"version {version} may be tried again with the agent's next poll (SIGHUP polls at once)"
    return f"version {version} {'may be tried again' if found else 'was not in quarantine'}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # journald adds the time


if __name__ == "__main__":
    sys.exit(main())
