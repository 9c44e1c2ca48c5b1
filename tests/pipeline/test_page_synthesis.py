"""`synth pages`: a folder that can be trained on, the same with any number of workers."""

from __future__ import annotations

import csv

import cv2
import pytest
from click.testing import CliRunner
from little_disk import little_disk

from glyphyard.cli.synth import synth
from glyphyard.core.errors import BadInput
from glyphyard.data.sources.yolo_folder import list_yolo_folder
from glyphyard.pipeline import page_synthesis
from glyphyard.pipeline.page_synthesis import write_pages
from glyphyard.pipeline.synthesis import write_plates
from glyphyard.recipe.dataset import SplitConfig, SyntheticPages, SyntheticPlates, YoloFolder


def test_the_verb_writes_a_yolo_folder_with_texts(tmp_path):
    result = CliRunner().invoke(
        synth, ["pages", "--count", "4", "--workers", "1", "--out", str(tmp_path / "pages"), "--test", "0.5"]
    )
    assert result.exit_code == 0, result.output
    pages = list_yolo_folder(YoloFolder(kind="yolo_folder", name="pages", folder=tmp_path / "pages"))
    assert len(pages) == 4
    assert all(p.split and not p.problems for p in pages)
    with (tmp_path / "pages" / "lines.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == sum(len(p.regions) for p in pages) > 4
    assert all(row["text"] for row in rows)
    assert cv2.imread(str(tmp_path / "pages" / "sheet.png")) is not None


def test_a_full_disk_is_one_line_about_the_folder_that_was_asked_for(tmp_path):
    plates = SyntheticPlates(kind="synthetic_plates", name="plates", count=2)
    with little_disk(1_000), pytest.raises(BadInput, match="cannot be written") as caught:
        write_plates(plates, tmp_path / "plates", 1, print)
    assert caught.value.where == str(tmp_path / "plates")
    pages = SyntheticPages(kind="synthetic_pages", name="pages", count=1)
    with little_disk(1_000), pytest.raises(BadInput, match="cannot be written") as caught:
        write_pages(pages, tmp_path / "pages", SplitConfig(), 1, print)
    assert caught.value.where == str(tmp_path / "pages")
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_not_touched(tmp_path):
    asked = SyntheticPages(kind="synthetic_pages", name="pages", count=1)
    with pytest.raises(BadInput, match="already"):
        write_pages(asked, tmp_path, SplitConfig(), 1, print)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(page_synthesis, "CHUNK", 2)
    asked = SyntheticPages(kind="synthetic_pages", name="pages", count=5, seed=4)
    for workers in (1, 2):
        write_pages(asked, tmp_path / str(workers), SplitConfig(), workers, print)
    files = sorted(p.relative_to(tmp_path / "1") for p in (tmp_path / "1").rglob("*") if p.is_file())
    assert len(files) == 5 * 2 + 3
    assert all((tmp_path / "1" / p).read_bytes() == (tmp_path / "2" / p).read_bytes() for p in files)
