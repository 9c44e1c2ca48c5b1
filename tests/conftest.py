"""What all tests share: one small Ray session, and where real data lies when it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time: a red run means that something changed. Look for new ones with HYPOTHESIS_PROFILE=search.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# Two tests at a time, one thread each (`make test`): threads that wait for each other on cores that are taken cost three times as much.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """One two-CPU Ray session for all tests marked `ray`."""
    from glyphyard.cluster.session import connected

    with connected(cpus=2, say=lambda line: None):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real labelled data; skips where it is absent."""
    folder = Path(os.environ.get("GLYPHYARD_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "us_plates").is_dir():
        pytest.skip(f"no real data at {folder} (set GLYPHYARD_DATA)")
    return folder
