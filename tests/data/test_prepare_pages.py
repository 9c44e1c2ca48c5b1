"""Prepared pages: one folder for one content, wherever it lies; made once, and readable by its own source."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.errors import BadInput
from glyphyard.data.prepare_pages import prepare_pages
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


def test_the_same_content_is_prepared_once_wherever_it_lies(tmp_path):
    first = prepare_pages(dataset(real(pages(tmp_path / "a"))), tmp_path / "store")
    stamp = (first / "manifest.json").stat().st_mtime_ns
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert prepare_pages(dataset(real(tmp_path / "moved")), tmp_path / "store") == first
    assert (first / "manifest.json").stat().st_mtime_ns == stamp
    (tmp_path / "moved" / "labels" / "3.txt").write_text("0 0.5 0.5 0.5 0.3\n")
    assert prepare_pages(dataset(real(tmp_path / "moved")), tmp_path / "store") != first


def test_real_and_drawn_pages_share_a_folder_that_reads_back(tmp_path):
    said: list[str] = []
    drawn = SyntheticPages(kind="synthetic_pages", name="drawn", count=2, splits=("train",))
    folder = prepare_pages(dataset(real(pages(tmp_path / "a")), drawn), tmp_path / "store", say=said.append)
    listed = list_yolo_folder(real(folder))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert len(listed) == sum(manifest["pages"].values()) == 14
    assert not any(p.problems for p in listed)
    assert all(p.split and p.annotations for p in listed)
    assert len(manifest["files"]) == 28
    assert said[-1].startswith(f"dataset {manifest['fingerprint']}")
    assert cv2.imread(str(folder / "boxes.png")) is not None


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(BadInput, match="split came out empty"):
        prepare_pages(dataset(real(pages(tmp_path / "a", 1))), tmp_path / "store")
    assert not (tmp_path / "store").exists()
