"""Outlined plates become rows: on a canvas, with outlines, split by what they read, named by their content."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from outlining import outlining_recipe, write_outlines, write_plates

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.letterbox import Letterbox
from glyphyard.core.records import DatasetManifest
from glyphyard.data.outlines import unpack
from glyphyard.data.prepare_outlines import identify_outlines, prepare_outlines
from glyphyard.data.refusal import TooManyBad
from glyphyard.data.region_masks import polygon_mask
from glyphyard.data.resident import load_resident
from glyphyard.recipe.dataset import DatasetConfig


def dataset(*folders: tuple[Path, list[str]], **changes: object) -> DatasetConfig:
    sources = [
        {"kind": "polygon_csv", "name": f"s{i}", "folder": folder, "splits": splits} for i, (folder, splits) in enumerate(folders)
    ]
    base = outlining_recipe().dataset.model_dump() | {"sources": sources}
    return DatasetConfig.model_validate(base | changes, strict=False)


def rows(folder: Path, split: str) -> list[dict]:
    import pyarrow.parquet as pq

    record = DatasetManifest.read(folder / "manifest.json").splits.get(split)
    return [row for shard in record.shards for row in pq.read_table(folder / shard.path).to_pylist()] if record else []


def test_rows_hold_the_plate_on_its_canvas_with_its_outlines(tmp_path):
    texts = write_plates(tmp_path / "plates", 6)
    config = dataset((tmp_path / "plates", ["train", "test"]), split={"validation": 0.0, "test": 0.5})
    folder = prepare_outlines(config, Capacity(100), tmp_path / "store", need=("train", "test"))
    manifest = DatasetManifest.read(folder / "manifest.json")
    assert Letterbox.from_json(manifest.pixels) == Letterbox(64, 128)
    assert "".join(manifest.classes) == config.alphabet
    found = rows(folder, "train") + rows(folder, "test")
    assert sorted(row["text"] for row in found) == sorted(texts)
    assert all((row["encoded"] is None) == (row in rows(folder, "train")) for row in found)
    for row in found:
        canvas = np.frombuffer(row["pixels"], np.uint8).reshape(64, 128, 3).astype(float).mean(-1)
        labels, outlines = unpack(row["outlines"])
        assert sorted(labels) == sorted(row["text"])
        inside = np.any([polygon_mask(o, 64, 128) for o in outlines], axis=0)
        around = np.any([polygon_mask(o + shift, 64, 128) for o in outlines for shift in (-4, 4)], axis=0) & ~inside
        assert abs(canvas[inside].mean() - canvas[around].mean()) > 25
    split = load_resident(folder, "train")
    assert split.images.shape[1:] == (64, 128, 3)
    assert split.more["labels"].shape[0] == split.more["outlines"].shape[0] == len(split)


def test_a_plate_stands_on_one_side_whatever_the_sources_say(tmp_path):
    write_plates(tmp_path / "learn", 5)
    write_plates(tmp_path / "judge", 2, texts=[3, 4])  # the same texts, and the same pictures
    (tmp_path / "judge" / "images" / "p03.png").write_bytes((tmp_path / "learn" / "images" / "p00.png").read_bytes())
    config = dataset((tmp_path / "learn", ["train"]), (tmp_path / "judge", ["test"]))
    folder = prepare_outlines(config, Capacity(100), tmp_path / "store")
    train, test = (rows(folder, split) for split in ("train", "test"))
    assert len(test) == 2
    assert not {row["text"] for row in train} & {row["text"] for row in test}
    assert len(train) == 2  # p00 is the same image, p03 and p04 the same plates
    assert read_json(folder / "audit.json")["counts"]["held_out_elsewhere"] == 3


def test_a_plate_of_two_groups_stands_on_one_side(tmp_path):
    plates = tmp_path / "plates"
    write_plates(plates, 6)
    for image in sorted((plates / "images").iterdir()):  # a second picture of each plate, of a track of its own
        cv2.imwrite(str(image.with_name(f"again_{image.name}")), 255 - cv2.imread(str(image)))
        outlines = plates / "annotations" / f"{image.stem}.csv"
        shutil.copy(outlines, outlines.with_name(f"again_{outlines.name}"))
    split = {"validation": 0.0, "test": 0.5, "group_by": r"(\w+)\.png"}
    folder = prepare_outlines(dataset((plates, ["train", "test"]), split=split), Capacity(100), tmp_path / "store")
    train, test = (rows(folder, side) for side in ("train", "test"))
    left_out = read_json(folder / "audit.json")["counts"]["held_out_elsewhere"]
    assert not {row["text"] for row in train} & {row["text"] for row in test}
    assert left_out
    assert len(train) + len(test) + left_out == 12


def test_labels_are_written_as_the_alphabet_writes_them(tmp_path):
    write_plates(tmp_path / "plates", 3)
    path = tmp_path / "plates" / "annotations" / "p01.csv"
    table = list(csv.reader(path.open()))
    table[1][0], table[2][0] = table[1][0].lower(), "-"  # a dash is dropped
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(table)
    config = dataset((tmp_path / "plates", ["train"]))
    found = {row["path"]: row["text"] for row in rows(prepare_outlines(config, Capacity(100), tmp_path / "store"), "train")}
    characters = [cells[0].upper() for cells in table[1:]]
    assert sorted(found["images/p01.png"]) == sorted(c for c in characters if c != "-")


def test_a_stranger_to_the_alphabet_is_bad_with_file_and_line(tmp_path):
    write_plates(tmp_path / "plates", 2)
    path = tmp_path / "plates" / "annotations" / "p01.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "Ä" + lines[1][1:], *lines[2:]]) + "\n", encoding="utf-8")
    said: list[str] = []
    with pytest.raises(TooManyBad, match="unknown_character") as caught:
        prepare_outlines(dataset((tmp_path / "plates", ["train"])), Capacity(100), tmp_path / "store", say=said.append)
    assert "p01.csv:2" in str(caught.value)
    assert any("p01.csv:2: unknown_character" in line for line in said)
    assert str(caught.value.report) in str(caught.value)
    assert [finding["line"] for finding in read_json(caught.value.report)["findings"]] == [2]


def test_an_image_without_annotations_is_a_plate_with_nothing_on_it_or_left_out(tmp_path):
    write_plates(tmp_path / "plates", 3)
    (tmp_path / "plates" / "annotations" / "p02.csv").unlink()
    kept = dataset((tmp_path / "plates", ["train"]))
    (bare,) = (r for r in rows(prepare_outlines(kept, Capacity(100), tmp_path / "a"), "train") if r["path"] == "images/p02.png")
    assert (bare["text"], bare["outlines"]) == ("", "[]")
    sources = [kept.sources[0].model_dump() | {"unlabelled": "leave_out"}]
    left = DatasetConfig.model_validate(kept.model_dump() | {"sources": sources}, strict=False)
    assert len(rows(prepare_outlines(left, Capacity(100), tmp_path / "b"), "train")) == 2


def test_the_same_content_is_made_once_and_another_outline_is_another_dataset(tmp_path):
    write_plates(tmp_path / "plates", 3)
    config, told = dataset((tmp_path / "plates", ["train"])), []
    first = prepare_outlines(config, Capacity(100), tmp_path / "store", say=told.append)
    assert prepare_outlines(config, Capacity(100), tmp_path / "store", say=told.append) == first
    assert told[-1].endswith("(cached)")
    (tmp_path / "plates").rename(tmp_path / "moved")
    assert identify_outlines(dataset((tmp_path / "moved", ["train"])), Capacity(100), tmp_path / "store") == first.name
    square = np.array([(3, 3), (20, 3), (20, 20), (3, 20)])
    write_outlines(tmp_path / "moved" / "annotations" / "p00.csv", ("A",), (square,))
    assert identify_outlines(dataset((tmp_path / "moved", ["train"])), Capacity(100), tmp_path / "store") != first.name


def test_an_empty_side_is_said_before_and_after_it_was_prepared(tmp_path):
    write_plates(tmp_path / "plates", 2)
    config = dataset((tmp_path / "plates", ["train"]))
    for _ in range(2):
        with pytest.raises(BadInput, match="test split came out empty"):
            prepare_outlines(config, Capacity(100), tmp_path / "store", need=("train", "test"))
        prepare_outlines(config, Capacity(100), tmp_path / "store")


def test_drawn_plates_yield_to_real_ones_of_their_text(tmp_path):
    write_plates(tmp_path / "plates", 3, seed=1)
    drawn = {"kind": "synthetic_outlines", "name": "drawn", "count": 6, "seed": 1, "splits": ["train"]}
    real = {"kind": "polygon_csv", "name": "real", "folder": tmp_path / "plates", "splits": ["test"]}
    config = DatasetConfig.model_validate(outlining_recipe().dataset.model_dump() | {"sources": [drawn, real]}, strict=False)
    folder = prepare_outlines(config, Capacity(100), tmp_path / "store", need=("train", "test"))
    assert [len(rows(folder, split)) for split in ("train", "test")] == [3, 3]
    assert read_json(folder / "audit.json")["rows"] == {
        "drawn": {"listed": 6, "train": 3, "validation": 0, "test": 0},
        "real": {"listed": 3, "train": 0, "validation": 0, "test": 3},
    }
