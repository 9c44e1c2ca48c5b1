"""One connection to Ray: the cluster that is named, or a local one that lives as long as the run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glyphyard.cluster.environment import set_defaults
from glyphyard.core.errors import BadInput

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
    try:
        if address:
            ray.init(address=address, **options)
        else:
            # Ray Train asks the dashboard for its controller's state every second and complains without one.
            ray.init(address="local", num_cpus=cpus, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=True, **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"Ray at {address or 'this machine'}", f"cannot connect ({reason})", _remedy(reason)) from error


def _remedy(reason: str) -> str:
    if "auth" in reason.lower():
        return "set RAY_AUTH_MODE=token here as on the cluster, with the same token (docs/cluster.md)"
    return "start one with `make cluster`, or unset RAY_ADDRESS to run on this machine"


def _quieten() -> None:
    for name in ("ray", "ray.data", "ray.train", "ray.tune", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)


def free_resources() -> dict[str, float]:
    """Return what the cluster has in all: CPU, GPU, memory and custom resources."""
    import ray

    return dict(ray.cluster_resources())
