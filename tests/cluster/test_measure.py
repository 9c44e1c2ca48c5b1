"""Many workers read what one reads: the split is cut between batches only, and a worker's error is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import Row, edit_manifest, write_bundle, write_dataset
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.cluster.measure import reader_on_ray, shares
from glyphyard.core.errors import BadInput
from glyphyard.core.records import DatasetManifest
from glyphyard.evaluation.measure import read_here
from glyphyard.evaluation.samples import Sample, rows_of


@given(st.integers(1, 2000), st.integers(1, 100), st.integers(1, 20))
def test_every_row_is_read_once_and_in_its_own_batch(rows: int, batch_size: int, workers: int) -> None:
    ranges = shares(rows, batch_size, workers)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(rows))
    assert all(start % batch_size == 0 for start, _ in ranges)
    assert len(ranges) <= workers
    sizes = [-(-(stop - start) // batch_size) for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1


def test_rows_are_found_across_shards(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "set", [Row(f"A{i}") for i in range(11)], shard_rows=4)
    split = DatasetManifest.read(folder / "manifest.json").splits["test"]
    for start, stop in ((0, 11), (3, 9), (4, 8), (10, 11), (5, 5)):
        assert [row["text"] for row in rows_of(folder, split, start, stop, 2)] == [f"A{i}" for i in range(start, stop)]


@pytest.mark.ray
def test_workers_read_the_same_and_their_errors_arrive(tmp_path: Path, ray_session: None) -> None:
    folder = write_dataset(tmp_path / "set", [Row(f"A{i:02d}") for i in range(23)], shard_rows=7)
    split = DatasetManifest.read(folder / "manifest.json").splits["test"]
    bundle = write_bundle(tmp_path / "bundle")
    alone: list[Sample] = read_here(bundle, folder, split, 4, None)
    for workers in (1, 2, 5):
        assert reader_on_ray(workers)(bundle, folder, split, 4, None) == alone
    edit_manifest(bundle, schema_version=9)
    with pytest.raises(BadInput, match="schema"):
        reader_on_ray(2)(bundle, folder, split, 4, None)
