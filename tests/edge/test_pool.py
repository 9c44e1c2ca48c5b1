"""A pool's threads wait for a core; nobody else's do."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from handmade import write_bundle

from glyphyard.edge import Recognizer, reader_pool


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the batch policy is Linux's")
def test_the_policy_is_the_pools_threads_alone() -> None:
    before = os.sched_getscheduler(0)
    with reader_pool(3) as pool:
        assert set(pool.map(lambda _: os.sched_getscheduler(0), range(12))) == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("refusal", [PermissionError(1, "forbidden"), AttributeError("no such policy")])
def test_where_there_is_no_such_policy_the_pool_reads_all_the_same(
    refusal: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise refusal

    monkeypatch.setattr(os, "sched_setscheduler", refuse, raising=False)
    reader = Recognizer(write_bundle(tmp_path / "bundle"))
    crops = list(np.random.default_rng(0).integers(0, 256, (20, 40, 90, 3), dtype=np.uint8))
    with reader_pool(4) as pool:
        assert list(pool.map(reader.read, crops)) == [reader.read(crop) for crop in crops]
