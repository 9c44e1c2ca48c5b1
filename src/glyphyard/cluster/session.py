"""One connection to Ray: the cluster that is named, or a local one that lives as long as the run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glyphyard.cluster.environment import set_defaults
from glyphyard.core.errors import BadInput

ATTEMPTS = 3
SLOW_START = "timed out during startup"  # Ray waits 30 s, not to be changed; a busy laptop can take longer
OBJECT_STORE_BYTES = 400 * 2**20  # crops stay in Parquet; the object store only carries paths and small tables


@contextmanager
def connected(cpus: int | None = None, say: Callable[[str], None] = print) -> Iterator[None]:
    """Connect to RAY_ADDRESS where it is set (as in a Ray job), else start a local cluster; shut down at the end.

    A connection that was there before is used and left alone.
    """
    set_defaults()
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    say(f"ray: connecting to {address}" if address else "ray: starting a local cluster")
    _start(address, cpus)
    _quieten()
    try:
        yield
    finally:
        ray.shutdown()


def _start(address: str | None, cpus: int | None) -> None:
    import ray

    options = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if not address:
        # Nobody looks at the dashboard of a cluster that lives as long as a run: it holds 900 MB and a share of a core.
        options |= {"num_cpus": cpus, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ray.init(address=address or "local", **options)
            return
        except Exception as error:  # Ray raises the bare class where a process of its own does not start
            ray.shutdown()
            if SLOW_START in str(error) and attempt < ATTEMPTS:
                continue
            reason = " ".join(str(error).split())[:300]
            raise BadInput(f"Ray at {address or 'this machine'}", f"cannot connect ({reason})", _remedy(reason)) from error


def _remedy(reason: str) -> str:
    if "auth" in reason.lower():
        return "set RAY_AUTH_MODE=token here as on the cluster, with the same token (docs/cluster.md)"
    if SLOW_START in reason:
        return "this machine is too busy to start Ray: try again later, or use --set runtime.launcher=in_process"
    return "start one with `make cluster`, or unset RAY_ADDRESS to run on this machine"


def _quieten() -> None:
    for name in ("ray", "ray.data", "ray.train", "ray.tune", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)


def free_resources() -> dict[str, float]:
    """Return what the cluster has in all: CPU, GPU, memory and custom resources."""
    import ray

    return dict(ray.cluster_resources())
