"""Threads that share a recogniser."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress


def reader_pool(threads: int) -> ThreadPoolExecutor:
    """Return a pool for more threads than cores: on Linux they read under its batch policy (`man 7 sched`), else as any others.

    A thread that wakes up for the interpreter's lock then waits until a core is free, where it would push another one off its
    core in the middle of a crop. The policy is the pool's threads' alone, and asks for no privilege.
    """
    return ThreadPoolExecutor(threads, "reader", initializer=_wait_for_a_core)


def _wait_for_a_core() -> None:
    with suppress(AttributeError, OSError):  # not Linux; or forbidden in this container
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
