"""Resident splits: each row on one rank, images exactly as they were written."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.data.prepare import prepare
from glyphyard.data.resident import load_resident, pixels_of
from glyphyard.recipe.dataset import ImageConfig


@pytest.fixture(params=[1, 3], ids=["grey", "colour"])
def folder(request, label_file, texts, make, tmp_path, monkeypatch, cheap_plates):
    monkeypatch.setattr("glyphyard.data.shards.SHARD_ROWS", 17)
    monkeypatch.setattr("glyphyard.data.chunks.CHUNK_ROWS", 10)
    image = ImageConfig(channels=request.param)
    return prepare(make.config(make.real(label_file(texts)), make.drawn(), image=image), Capacity(32), tmp_path, in_process=True)


def test_all_ranks_together_hold_each_row_once(folder):
    table = pa.concat_tables([pq.read_table(p) for p in sorted(folder.glob("train-*.parquet"))])
    assert len(list(folder.glob("train-*.parquet"))) > 2
    for world in (1, 2, 3):
        ranks = [load_resident(folder, "train", rank, world) for rank in range(world)]
        for rank, split in enumerate(ranks):
            mine = table.to_pylist()[rank::world]
            assert len(split) == len(mine)
            assert split.ids.tolist() == [row["id"] for row in mine]
            assert split.texts == [row["text"] for row in mine]
            assert split.sources == [row["source"] for row in mine]
            assert split.images.dtype == torch.uint8
            assert [image.numpy().tobytes() for image in split.images] == [row["pixels"] for row in mine]


def test_a_split_that_is_not_there_is_named(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["splits"]["test"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="no test split"):
        load_resident(folder, "test")


def test_pixels_come_from_slices_and_chunks_and_must_be_of_one_size():
    column = pa.chunked_array([pa.array([b"abcd", b"efgh", b"ijkl"], pa.binary()).slice(1), pa.array([b"mnop"], pa.binary())])
    assert pixels_of(column, (2, 2)).tobytes() == b"efghijklmnop"
    assert pixels_of(column.slice(0, 0), (2, 2)).shape == (0, 2, 2)
    with pytest.raises(BadInput, match="expected 4 bytes"):
        pixels_of(pa.chunked_array([pa.array([b"abcd", b"ef"], pa.binary())]), (2, 2))
