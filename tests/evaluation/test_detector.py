"""A detector measured on held-out pages: figures that a hand can count, and the same as pycocotools' on what was written down."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dark_pages import Place, write_finder, write_pages
from little_disk import little_disk

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.core.records import Scorecard
from glyphyard.data.prepare_pages import prepare_pages
from glyphyard.evaluation.detector import measure_detector
from glyphyard.recipe.dataset import DatasetConfig, YoloFolder
from glyphyard.recipe.suite import SuiteConfig

BLACK, FAINT = 0, 60  # scores 1.0 and about 0.41; the bundle's confidence is 0.5
TEST: list[list[Place]] = [[(k % 6, k % 8), (5, 7 - k % 6)] for k in range(12)]


def suite(**changes: object) -> SuiteConfig:
    value = {"name": "pages", "unit": "pages", "thresholds": ({"metric": "map50", "above": 0.5},), "min_samples": 5}
    return SuiteConfig.model_validate(value | {"bootstrap": 200} | changes)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_finder(tmp_path / "bundle")


def dataset(tmp_path: Path, test: list[list[Place]], greys: list[list[int]] | None = None) -> Path:
    sides = {"train": [[(0, 0)]], "val": [[(1, 1)]], "test": test}
    folder = write_pages(tmp_path / "pages", sides, {"test": greys} if greys else None)
    source = YoloFolder(kind="yolo_folder", name="real", folder=folder)
    return prepare_pages(DatasetConfig(sources=(source,)), Capacity(300), tmp_path / "store", in_process=True)


def test_what_is_all_found_is_one_hundred_per_cent(bundle: Path, tmp_path: Path) -> None:
    card = measure_detector(bundle, dataset(tmp_path, TEST), suite(), tmp_path, say=lambda line: None)
    values = {name: card.figures[name].value for name in ("map50", "map", "precision", "recall", "f1")}
    assert values == dict.fromkeys(values, 1.0)
    assert card.samples == card.groups == 12
    assert card.figures["map50"].count == 24
    assert Scorecard.read(tmp_path / "scorecard.json") == card


def test_precision_and_recall_are_those_of_the_bundles_confidence(bundle: Path, tmp_path: Path) -> None:
    greys = [[BLACK, FAINT] for _ in TEST]  # every second square is too faint to count
    card = measure_detector(bundle, dataset(tmp_path, TEST, greys), suite(), tmp_path, say=lambda line: None)
    assert card.figures["recall"].value == 0.5
    assert card.figures["precision"].value == 1.0
    assert card.figures["map50"].value == 1.0  # average precision counts unsure boxes too
    rows = pq.read_table(tmp_path / "pages.parquet").to_pylist()
    assert {(row["missed"], row["wrong"], len(row["boxes"])) for row in rows} == {(1, 0, 2)}


def test_the_figures_are_pycocotools_own(bundle: Path, tmp_path: Path) -> None:
    # Labels of other places than the squares: some boxes are wrong, some objects missed, with scores that differ.
    truth: list[list[Place]] = [[(k % 6, 2), (3, k % 8)] for k in range(12)]
    greys = [[(17 * k) % 50, (29 * k) % 45] for k in range(12)]
    folder = dataset(tmp_path, TEST, greys)
    shifted = dataset_with_labels(folder, tmp_path, truth)
    card = measure_detector(bundle, shifted, suite(), tmp_path, say=lambda line: None)
    assert 0 < card.figures["map50"].value < 1  # type: ignore[operator]
    expected = coco(pq.read_table(tmp_path / "pages.parquet").to_pylist())
    assert [card.figures[name].value for name in ("map", "map50", "map_small")] == pytest.approx(expected, abs=1e-9)


def dataset_with_labels(prepared: Path, tmp_path: Path, places: list[list[Place]]) -> Path:
    """Prepare the same test images with other labels."""
    images = sorted((prepared / "images" / "test").glob("*.png"))
    folder = write_pages(tmp_path / "other", {"train": [[(0, 0)]], "val": [[(1, 1)]], "test": places})
    for image, target in zip(images, sorted((folder / "images" / "test").glob("*.png")), strict=True):
        target.write_bytes(image.read_bytes())
    source = YoloFolder(kind="yolo_folder", name="real", folder=folder)
    return prepare_pages(DatasetConfig(sources=(source,)), Capacity(300), tmp_path / "store", in_process=True)


def coco(rows: list[dict[str, object]]) -> list[float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def annotation(row: dict[str, object], corners: list[float], number: int) -> dict[str, object]:
        x1, y1, x2, y2 = corners
        size = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        return {"id": number, "image_id": row["id"], "category_id": 1, **size}

    pairs = [(row, corners) for row in rows for corners in row["true_boxes"]]  # type: ignore[attr-defined]
    truth = COCO()
    with contextlib.redirect_stdout(io.StringIO()):
        truth.dataset = {
            "images": [{"id": row["id"]} for row in rows],
            "categories": [{"id": 1}],
            "annotations": [annotation(row, corners, n) for n, (row, corners) in enumerate(pairs, 1)],
        }
        truth.createIndex()
        found = [
            annotation(row, corners, 0) | {"score": score}
            for row in rows
            for corners, score in zip(row["boxes"], row["scores"], strict=True)  # type: ignore[call-overload]
        ]
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(judge.stats[i]) for i in (0, 1, 3)]


def test_other_classes_than_the_bundles_are_refused(tmp_path: Path) -> None:
    other = write_finder(tmp_path / "other_bundle", ("line", "stamp"))
    with pytest.raises(BadInput, match=r"classes are \['handwriting'\].*\['line', 'stamp'\]"):
        measure_detector(other, dataset(tmp_path, TEST), suite(), tmp_path, say=lambda line: None)


def test_another_held_out_set_than_the_frozen_one_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="expected the held-out set"):
        measure_detector(bundle, dataset(tmp_path, TEST), suite(held_out="0" * 64), tmp_path, say=lambda line: None)


def test_altered_rows_are_refused(bundle: Path, tmp_path: Path) -> None:
    folder = dataset(tmp_path, TEST)
    data = bytearray((folder / "test.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "test.parquet").write_bytes(bytes(data))
    with pytest.raises(BadInput, match=r"test.parquet.*altered"):
        measure_detector(bundle, folder, suite(), tmp_path, say=lambda line: None)


def test_a_full_disk_is_one_line_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    pages, out = dataset(tmp_path, TEST), tmp_path / "out"
    with little_disk(500), pytest.raises(BadInput, match="cannot be written") as caught:
        measure_detector(bundle, pages, suite(), out, say=lambda line: None)
    assert caught.value.where == str(out)
    assert not list(out.iterdir())
