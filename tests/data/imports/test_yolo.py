"""`import yolo`: any layout comes out as one that can be trained on, and comes out the same when it is imported again."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.errors import BadInput
from glyphyard.data.imports.yolo import import_yolo
from glyphyard.data.sources.yolo_folder import list_yolo_folder
from glyphyard.recipe.dataset import SplitConfig, YoloFolder

SPLIT = SplitConfig(validation=0.2, test=0.2, group_by="path")


def source(folder: Path, **fields: object) -> YoloFolder:
    return YoloFolder.model_validate({"kind": "yolo_folder", "name": "import", "folder": folder} | fields)


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (60, 80, 3), np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Thirty images of LabelImg in two folders with equal names, one of them without labels."""
    root = tmp_path / "labelimg"
    for i in range(30):
        path = root / f"batch{i % 2}" / f"{i // 2}.png"
        picture(path, i)
        if i != 7:
            path.with_suffix(".txt").write_text("0 0.5 0.5 0.25 0.25\n1 0.3 0.3 0.1 0.1\n")
    (root / "classes.txt").write_text("name\ndate\n")
    return root


def said(lines: list[str]):
    return lines.append


def test_every_image_arrives_with_its_own_labels(tmp_path, folder):
    lines: list[str] = []
    made = import_yolo(source(folder), tmp_path / "out", SPLIT, 0.02, lines.append)
    assert sum(made.pages.values()) == 30
    assert sum(made.boxes.values()) == 58
    assert min(made.pages.values()) >= 1
    assert any("image_without_annotations" in line for line in lines)
    images = {p.read_bytes() for p in (tmp_path / "out").glob("images/*/*.png")}
    assert images == {p.read_bytes() for p in folder.rglob("*.png")}
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["counts"] == {"image_without_annotations": 1}
    assert cv2.imread(str(tmp_path / "out" / "boxes.png")) is not None


def test_what_was_imported_is_listed_and_imported_again_alike(tmp_path, folder):
    import_yolo(source(folder), tmp_path / "out", SPLIT, 0.02, print)
    pages = list_yolo_folder(source(tmp_path / "out"))
    assert sum(len(p.regions) for p in pages) == 58
    assert {r.label for p in pages for r in p.regions} == {"name", "date"}
    import_yolo(source(tmp_path / "out"), tmp_path / "again", SPLIT, 0.02, print)
    for path in (tmp_path / "out").rglob("*.txt"):
        assert (tmp_path / "again" / path.relative_to(tmp_path / "out")).read_text() == path.read_text()


def test_one_class_and_leaving_out(tmp_path, folder):
    made = import_yolo(source(folder, one_class="handwriting", unlabelled="leave_out"), tmp_path / "out", SPLIT, 0.02, print)
    assert sum(made.pages.values()) == 29
    assert "handwriting" in (tmp_path / "out" / "dataset.yaml").read_text()
    assert {line.split()[0] for p in (tmp_path / "out").rglob("labels/*/*.txt") for line in p.read_text().splitlines()} == {"0"}


def test_a_broken_image_is_left_out_and_too_many_bad_boxes_stop_everything(tmp_path, folder):
    data = (folder / "batch0" / "0.png").read_bytes()
    (folder / "batch0" / "0.png").write_bytes(data[: len(data) // 3])
    made = import_yolo(source(folder), tmp_path / "out", SPLIT, 0.02, print)
    assert sum(made.pages.values()) == 29
    for path in folder.rglob("*.txt"):
        if path.name != "classes.txt":
            path.write_text("0 5 5 0.1 0.1\n0 .5 .5 .1 .1\n")
    with pytest.raises(BadInput, match=r"\.txt:1: "):
        import_yolo(source(folder), tmp_path / "bad", SPLIT, 0.02, print)
    assert not (tmp_path / "bad").exists()


def test_a_folder_that_is_there_is_not_touched(tmp_path, folder):
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput, match="already"):
        import_yolo(source(folder), tmp_path / "out", SPLIT, 0.02, print)
