"""Pairs of crops: listed, checked, prepared with their low side, split by text; rows without one get theirs made."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import DatasetManifest
from glyphyard.data.prepare import dataset_fingerprint, prepare
from glyphyard.data.resident import load_resident
from glyphyard.data.sources import list_rows
from glyphyard.recipe.dataset import DatasetConfig


def crop(text: str, frame: int, scale: int = 1) -> np.ndarray:
    dice = np.random.default_rng(abs(hash((text, frame))) % 2**32)
    return np.kron(dice.integers(0, 256, (8, 24), dtype=np.uint8), np.ones((scale, scale), np.uint8))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Eight plates of three frames each; high sides are PNG, low sides JPEG; returns the label file."""
    lines = []
    for side in ("hr", "lr"):
        (tmp_path / side).mkdir()
    for p in range(8):
        for frame in range(3):
            name = f"plate{p}_{frame}"
            cv2.imwrite(str(tmp_path / "hr" / f"{name}.png"), crop(f"{p}", frame, 2))
            cv2.imwrite(str(tmp_path / "lr" / f"{name}.jpg"), crop(f"{p}", frame))
            lines.append(f"{name}.png\tABC{p}{p}23\n")
    (tmp_path / "labels.txt").write_text("".join(lines))
    return tmp_path / "labels.txt"


def config(labels: Path, **changes: object) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "image": {"height": 16, "width": 48},
            "low_resolution": {"scale": 2},
            "sources": [{"kind": "plate_pairs", "name": "pairs", "labels": str(labels)}],
            "split": {"validation": 0.3, "test": 0.3},
            "max_bad_fraction": 0.2,
        }
        | changes
    )


def ready(dataset: DatasetConfig, store: Path) -> Path:
    return prepare(dataset, Capacity(14), store, in_process=True)


def test_sides_are_found_whatever_their_type(pairs: Path) -> None:
    rows = list_rows(config(pairs).sources[0])
    assert len(rows) == 24
    assert all(Path(row.file or "").is_file() and Path(row.low or "").suffix == ".jpg" for row in rows)


def test_a_pair_keeps_its_low_side_and_frames_of_a_plate_stay_together(pairs: Path, tmp_path: Path) -> None:
    folder = ready(config(pairs), tmp_path / "store")
    manifest = DatasetManifest.read(folder / "manifest.json")
    assert manifest.low_pixels is not None
    assert (manifest.low_pixels["height"], manifest.low_pixels["width"]) == (8, 24)
    sides: dict[str, set[str]] = {}
    for name, split in manifest.splits.items():
        for shard in split.shards:
            for row in pq.read_table(folder / shard.path).to_pylist():
                sides.setdefault(row["text"], set()).add(name)
                assert len(row["lr_pixels"]) == 8 * 24
    assert len(sides) == 8
    assert all(len(side) == 1 for side in sides.values())
    train = load_resident(folder, "train", 0, 1)
    assert train.more["low"].shape[1:] == (8, 24)
    assert train.more["paired"].all()
    high, low = train.images[0].float(), train.more["low"][0].float()
    assert torch.nn.functional.avg_pool2d(high[None, None], 2)[0, 0].sub(low).abs().mean() < 40  # the same picture (through JPEG)


def test_a_pair_that_is_no_multiple_is_left_out_with_both_sizes(pairs: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(pairs.parent / "lr" / "plate0_0.jpg"), np.zeros((9, 24), np.uint8))
    folder = ready(config(pairs), tmp_path / "store")
    found = read_json(folder / "audit.json")["findings"]
    assert [f["kind"] for f in found] == ["pair_not_multiple"]
    assert all(word in found[0]["detail"] for word in ("[GY059]", "16x48", "9x24", "scale 2"))
    with pytest.raises(BadInput, match="GY059"):
        ready(config(pairs, max_bad_fraction=0.0), tmp_path / "store")


def test_a_missing_low_side_is_a_missing_image(pairs: Path, tmp_path: Path) -> None:
    (pairs.parent / "lr" / "plate1_1.jpg").unlink()
    found = read_json(ready(config(pairs), tmp_path / "store") / "audit.json")["findings"]
    assert [f["kind"] for f in found] == ["missing_image"]


def test_frames_with_one_high_side_are_no_duplicates_unless_their_low_sides_are_one_too(pairs: Path, tmp_path: Path) -> None:
    hr, lr = pairs.parent / "hr", pairs.parent / "lr"
    for frame in (1, 2):
        shutil.copy(hr / "plate3_0.png", hr / f"plate3_{frame}.png")
    shutil.copy(lr / "plate3_1.jpg", lr / "plate3_2.jpg")
    folder = ready(config(pairs), tmp_path / "store")
    found = read_json(folder / "audit.json")["findings"]
    assert [f["kind"] for f in found] == ["duplicate_image"]
    assert re.search(r"^plate3_2\.png .*labels\.txt:11$", found[0]["detail"]), "it is told of the frame whose low side it has"
    assert sum(s.rows for s in DatasetManifest.read(folder / "manifest.json").splits.values()) == 24


@pytest.mark.parametrize(
    ("side", "said"), [("hr/plate1_1.png", "plate1_1.png: "), ("lr/plate1_1.jpg", "plate1_1.png, low side: ")]
)
def test_a_broken_picture_of_a_pair_is_told_with_its_side(pairs: Path, tmp_path: Path, side: str, said: str) -> None:
    (pairs.parent / side).write_bytes(b"no picture")
    found = read_json(ready(config(pairs), tmp_path / "store") / "audit.json")["findings"]
    assert [f["kind"] for f in found] == ["unreadable_image"]
    assert found[0]["detail"].startswith(said)


def test_narrow_crops_are_left_out_and_are_no_mistake(pairs: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(pairs.parent / "hr" / "plate2_0.png"), crop("n", 0, 2)[:, :40])
    source = {"kind": "plate_tsv", "name": "wide", "labels": str(pairs), "images": str(pairs.parent / "hr"), "min_width_px": 48}
    folder = ready(config(pairs, sources=[source], max_bad_fraction=0.0), tmp_path / "store")
    audit = read_json(folder / "audit.json")
    assert audit["counts"] == {"too_narrow": 1}
    assert audit["rows"]["wide"]["left_out"] == 1


def test_crops_that_are_enlarged_to_be_a_high_side_are_kept_and_told(pairs: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(pairs.parent / "hr" / "plate2_0.png"), crop("n", 0, 2)[:, :40])
    source = {"kind": "plate_tsv", "name": "wide", "labels": str(pairs), "images": str(pairs.parent / "hr")}
    folder = ready(config(pairs, sources=[source], max_bad_fraction=0.0), tmp_path / "store")
    audit = read_json(folder / "audit.json")
    assert audit["counts"] == {"small_high_side": 1}
    assert audit["findings"][0]["severity"] == "warning"
    assert all(word in audit["findings"][0]["detail"] for word in ("plate2_0.png", "16x40", "16x48", "min_width_px"))
    assert sum(s.rows for s in DatasetManifest.read(folder / "manifest.json").splits.values()) == 24


@pytest.mark.parametrize(("gone", "field"), [("lr", "lr_images"), ("hr", "hr_images")])
def test_a_side_without_a_folder_is_one_mistake(pairs: Path, gone: str, field: str) -> None:
    (pairs.parent / gone).rename(pairs.parent / "away")
    with pytest.raises(BadInput, match=f"{gone}, found no such folder.*{field}"):
        list_rows(config(pairs).sources[0])
    mistyped = config(pairs.parent / "away" / "lables.txt").sources[0]
    with pytest.raises(BadInput, match=r"^[^:]*lables\.txt: (?!expected one side)"):
        list_rows(mistyped)


def test_held_out_rows_get_their_low_side_once_and_training_rows_none(pairs: Path, tmp_path: Path) -> None:
    source = {"kind": "plate_tsv", "name": "high", "labels": str(pairs), "images": str(pairs.parent / "hr")}
    dataset = config(pairs, sources=[source])
    folder = ready(dataset, tmp_path / "store")
    assert load_resident(folder, "train", 0, 1).more == {}
    test = load_resident(folder, "test", 0, 1)
    again = load_resident(ready(dataset, tmp_path / "other"), "test", 0, 1)
    assert test.more["paired"].all()
    assert torch.equal(test.more["low"], again.more["low"])


def test_what_was_prepared_without_a_low_side_keeps_its_name(pairs: Path, tmp_path: Path) -> None:
    source = {"kind": "plate_tsv", "name": "high", "labels": str(pairs), "images": str(pairs.parent / "hr")}
    plain = config(pairs, sources=[source], low_resolution=None)
    names = {dataset_fingerprint(d, Capacity(14), tmp_path) for d in (plain, config(pairs, sources=[source]))}
    assert len(names) == 2
    assert "low_resolution" not in str(pq.read_schema(next(ready(plain, tmp_path / "store").glob("train-*.parquet"))))
    assert "lr_pixels" not in pq.read_schema(next((tmp_path / "store" / "datasets").glob("*/train-*.parquet"))).names
