"""Prepared pages: one folder for one content, wherever it lies; made once, readable by its own source and by its rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import DatasetManifest
from glyphyard.data.page_rows import read_rows
from glyphyard.data.prepare_pages import identify_pages, prepare_pages
from glyphyard.data.refusal import TooManyBad
from glyphyard.data.sources.yolo_folder import list_yolo_folder
from glyphyard.recipe.dataset import DatasetConfig, SplitConfig, SyntheticPages, YoloFolder


def pages(folder: Path, count: int = 12) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for i in range(count):
        image = np.random.default_rng(i).integers(0, 255, (60, 80, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), image)
        (folder / "labels" / f"{i}.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    return folder


def dataset(*sources: object) -> DatasetConfig:
    return DatasetConfig(sources=sources, split=SplitConfig(validation=0.3, test=0.2, group_by="path"))  # type: ignore[arg-type]


def real(folder: Path) -> YoloFolder:
    return YoloFolder(kind="yolo_folder", name="real", folder=folder)


def prepare(config: DatasetConfig, store: Path, **options: object) -> Path:
    return prepare_pages(config, Capacity(300), store, in_process=True, **options)  # type: ignore[arg-type]


def test_the_same_content_is_prepared_once_wherever_it_lies(tmp_path):
    first = prepare(dataset(real(pages(tmp_path / "a"))), tmp_path / "store")
    stamp = (first / "manifest.json").stat().st_mtime_ns
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert prepare(dataset(real(tmp_path / "moved")), tmp_path / "store") == first
    assert (first / "manifest.json").stat().st_mtime_ns == stamp
    assert first.name == identify_pages(dataset(real(tmp_path / "moved")), Capacity(300), tmp_path / "store")
    (tmp_path / "moved" / "labels" / "3.txt").write_text("0 0.5 0.5 0.5 0.3\n")
    assert prepare(dataset(real(tmp_path / "moved")), tmp_path / "store") != first


def test_a_group_of_file_names_stands_on_one_side(tmp_path):
    folder = pages(tmp_path / "a", 30)
    for i in range(30):  # three pages a writer
        for suffix in ("images/{}.png", "labels/{}.txt"):
            old = folder / suffix.format(i)
            old.rename(old.with_name(f"w{i // 3}_{i}{old.suffix}"))
    source = YoloFolder(kind="yolo_folder", name="real", folder=folder, group_by=r"(w\d+)_")
    made = prepare(dataset(source), tmp_path / "store")
    manifest = DatasetManifest.read(made / "manifest.json")
    sides = {name: {row.group for row in read_rows(made, manifest, name)} for name in manifest.splits}
    assert set.union(*sides.values()) == {f"w{i}" for i in range(10)}
    assert sum(map(len, sides.values())) == 10
    other = prepare(dataset(real(folder)), tmp_path / "store")
    assert other != made  # the groups are part of what it is


def test_real_and_drawn_pages_share_a_folder_that_reads_back(tmp_path):
    done: list[tuple[int, int]] = []
    drawn = SyntheticPages(kind="synthetic_pages", name="drawn", count=2, splits=("train",))
    store = tmp_path / "store"
    folder = prepare(dataset(real(pages(tmp_path / "a")), drawn), store, progress=lambda n, of: done.append((n, of)))
    listed = list_yolo_folder(real(folder))
    manifest = DatasetManifest.read(folder / "manifest.json")
    assert len(listed) == sum(split.rows for split in manifest.splits.values()) == 14
    assert not any(p.problems for p in listed)
    assert all(p.split and p.annotations for p in listed)
    assert manifest.classes == ["handwriting"]
    assert done == [(2, 2)]
    assert cv2.imread(str(folder / "boxes.png")) is not None


def test_rows_say_what_stands_on_each_page(tmp_path):
    folder = prepare(dataset(real(pages(tmp_path / "a"))), tmp_path / "store")
    manifest = DatasetManifest.read(folder / "manifest.json")
    every = [row for split in manifest.splits for row in read_rows(folder, manifest, split)]
    assert len(every) == 12
    assert all((row.width, row.height, row.source) == (80, 60, "real") and row.image.is_file() for row in every)
    assert all(row.boxes.tolist() == [[20, 22.5, 60, 37.5]] and row.classes.tolist() == [0] for row in every)
    assert len({row.group for row in every}) == 12


def test_refused_pages_are_told_and_listed_region_by_region(tmp_path):
    folder = pages(tmp_path / "a")
    for i in range(9):
        (folder / "labels" / f"{i}.txt").write_text("0 3.5 0.5 0.5 0.25\n")
    said: list[str] = []
    with pytest.raises(TooManyBad) as caught:
        prepare(dataset(real(folder)), tmp_path / "store", say=said.append)
    assert all(any(f"{i}.txt:1: " in line for line in said) for i in range(9))
    assert str(caught.value.report) in str(caught.value)
    assert len(read_json(caught.value.report)["findings"]) == 9


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(BadInput, match="split came out empty"):
        prepare(dataset(real(pages(tmp_path / "a", 1))), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_rows_of_crops_are_no_pages(tmp_path):
    folder = prepare(dataset(real(pages(tmp_path / "a"))), tmp_path / "store")
    manifest = DatasetManifest.read(folder / "manifest.json")
    with pytest.raises(BadInput, match="holds no prepared pages"):
        read_rows(folder, DatasetManifest.from_json(manifest.to_json() | {"pixels": {"height": 32}}, "manifest"), "train")
