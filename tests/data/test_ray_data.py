"""Ray Data makes the same data set, byte for byte, and streams it in equal steps."""

from __future__ import annotations

from collections import Counter

import pytest

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import StepFailed
from glyphyard.core.files import sha256_file
from glyphyard.data.prepare import prepare
from glyphyard.data.stream import StreamedSplit
from glyphyard.recipe.stage import SamplingConfig


@pytest.mark.ray
def test_ray_and_one_process_make_the_same_bytes_and_the_shards_stream(
    ray_session, label_file, texts, make, tmp_path, monkeypatch
):
    monkeypatch.setattr("glyphyard.data.chunks.CHUNK_ROWS", 16)
    monkeypatch.setattr("glyphyard.data.shards.ROW_GROUP", 8)
    dataset = make.config(make.real(label_file(texts)), make.drawn(count=40))
    seen: list[int] = []
    one = prepare(dataset, Capacity(32), tmp_path / "one", in_process=True)
    other = prepare(dataset, Capacity(32), tmp_path / "other", progress=lambda done, total: seen.append(done))
    assert {p.name: sha256_file(p) for p in one.iterdir()} == {p.name: sha256_file(p) for p in other.iterdir()}
    assert seen == sorted(seen)
    assert seen[-1] == 80
    _check_stream(one)


def _check_stream(folder) -> None:
    ranks = [StreamedSplit(folder, "train", 8, SamplingConfig(), seed=5, rank=rank, world=2) for rank in range(2)]
    assert ranks[0].steps == ranks[1].steps
    epochs = [[list(rank.epoch(epoch)) for rank in ranks] for epoch in (0, 1, 0)]
    ids = [[batch.ids.tolist() for rank in epoch for batch in rank] for epoch in epochs]
    assert ids[0] == ids[2]
    assert ids[0] != ids[1]
    for epoch in epochs:
        assert [len(rank) for rank in epoch] == [ranks[0].steps] * 2
        rows = Counter(i for rank in epoch for batch in rank for i in batch.ids.tolist())
        assert len(rows) == ranks[0].record.rows
    batch = epochs[0][0][0]
    assert batch.images.shape == (8, 32, 128)
    rest = list(ranks[0].epoch(0, start_step=2))
    assert [b.ids.tolist() for b in rest] == ids[0][2 : ranks[0].steps]
    weighted = StreamedSplit(
        folder, "train", 8, SamplingConfig(mode="weighted", weights={"real": 1.0}, samples_per_epoch=64), seed=5
    )
    drawn = list(weighted.epoch(0))
    assert len(drawn) == weighted.steps == 8
    assert {source for b in drawn for source in b.sources} == {"real"}


def test_without_ray_the_way_out_is_named(label_file, texts, make, tmp_path):
    import ray

    if ray.is_initialized():
        pytest.skip("the session's Ray is connected")
    with pytest.raises(StepFailed, match="in_process"):
        prepare(make.config(make.real(label_file(texts))), Capacity(32), tmp_path)
