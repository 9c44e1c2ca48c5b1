"""Page sources list boxes and polygons of every layout, and say which line of which file is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.data.findings import Kind
from glyphyard.data.sources.pages import list_pages
from glyphyard.data.sources.polygon_csv import read_polygons
from glyphyard.data.sources.yolo_labels import read_yolo_labels
from glyphyard.recipe.dataset import PolygonCsv, SyntheticPages, YoloFolder

BOX = "0 0.5 0.5 0.2 0.1\n"


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def yolo(folder: Path, **fields: object) -> YoloFolder:
    return YoloFolder.model_validate({"kind": "yolo_folder", "name": "pages", "folder": folder} | fields)


def polygons(folder: Path) -> PolygonCsv:
    return PolygonCsv(kind="polygon_csv", name="plates", folder=folder)


LAYOUTS = {
    "ultralytics": {
        "dataset.yaml": "path: /another/machine\ntrain: images/train\nval: images/val\nnames:\n  0: line\n",
        "images/train/a.jpg": b"",
        "labels/train/a.txt": BOX,
        "images/val/b.png": b"",
        "labels/val/b.txt": BOX,
    },
    "roboflow": {
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['line']\n",
        "train/images/a.jpg": b"",
        "train/labels/a.txt": BOX,
        "valid/images/b.png": b"",
        "valid/labels/b.txt": BOX,
        "README.roboflow.txt": "hello",
    },
    "labelimg": {"train/a.jpg": b"", "train/a.txt": BOX, "val/b.png": b"", "val/b.txt": BOX, "classes.txt": "line\n"},
    "lists": {
        "data.yaml": "train: train.txt\nval: val.txt\nnames: [line]\n",
        "train.txt": "images/a.jpg\n",
        "val.txt": "./images/b.png\n",
        "images/a.jpg": b"",
        "images/b.png": b"",
        "labels/a.txt": BOX,
        "labels/b.txt": BOX,
    },
}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_gives_the_same_pages(tmp_path, layout):
    pages = list_pages(yolo(write(tmp_path, LAYOUTS[layout])))
    assert [(Path(p.path).name, p.split, [r.label for r in p.regions]) for p in sorted(pages, key=lambda p: p.split or "")] == [
        ("a.jpg", "train", ["line"]),
        ("b.png", "validation", ["line"]),
    ]
    assert pages[0].regions[0].outline == pytest.approx((0.4, 0.45, 0.6, 0.55))


def test_a_flat_folder_has_no_splits_of_its_own(tmp_path):
    pages = list_pages(yolo(write(tmp_path, {"a.jpg": b"", "a.txt": BOX, "b.jpg": b""})))
    assert [(p.split, p.annotations is None) for p in pages] == [(None, False), (None, True)]
    assert pages[0].regions[0].label == "handwriting"


def test_one_class_renames_all_and_labels_without_an_image_are_told(tmp_path):
    write(tmp_path, {"images/a.jpg": b"", "labels/a.txt": "1 .5 .5 .1 .1\n", "labels/gone.txt": BOX, "classes.txt": "x\ny\n"})
    pages = list_pages(yolo(tmp_path, one_class="handwriting"))
    assert pages[0].regions[0].label == "handwriting"
    assert [p.kind for p in pages[1].problems] == [Kind.NO_IMAGE]


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({}, "no image"),
        ({"data.yaml": "train: nowhere\nnames: [a]\n", "a.jpg": b""}, "data.yaml"),
        ({"data.yaml": "train: .\nnames: [a, b]\nnc: 1\n", "a.jpg": b""}, "data.yaml"),
        ({"data.yaml": "train: .\n", "a.jpg": b""}, "data.yaml"),
        ({"data.yaml": "train: .\nnames: {1: a}\n", "a.jpg": b""}, "data.yaml"),
        ({"data.yaml": "train: [\n", "a.jpg": b""}, "data.yaml"),
        ({"data.yaml": "- 1\n", "a.jpg": b""}, "data.yaml"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, files, place):
    with pytest.raises(BadInput, match=place) as caught:
        list_pages(yolo(write(tmp_path, files)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 .5 .5 .1", Kind.MALFORMED_LINE),
        ("0 .5 .5 .1 .1 .9", Kind.MALFORMED_LINE),
        ("a .5 .5 .1 .1", Kind.MALFORMED_LINE),
        ("0 nan .5 .1 .1", Kind.MALFORMED_LINE),
        ("0 320 200 100 40", Kind.MALFORMED_LINE),
        ("2 .5 .5 .1 .1", Kind.UNKNOWN_CLASS),
        ("-1 .5 .5 .1 .1", Kind.UNKNOWN_CLASS),
        ("0.5 .5 .5 .1 .1", Kind.UNKNOWN_CLASS),
    ],
)
def test_a_wrong_yolo_line_is_named_and_the_others_are_read(tmp_path, line, kind):
    path = tmp_path / "a.txt"
    path.write_text(f"\ufeff{BOX}\n{line}\n{BOX}")
    regions, problems = read_yolo_labels(path, ["a", "b"])
    assert [r.line for r in regions] == [1, 4]
    assert [(p.kind, p.line) for p in problems] == [(kind, 3)]


def test_a_yolo_polygon_becomes_its_box(tmp_path):
    (tmp_path / "a.txt").write_text("0 .1 .2 .5 .1 .4 .6\n")
    assert read_yolo_labels(tmp_path / "a.txt", ["a"])[0][0].outline == (0.1, 0.1, 0.5, 0.6)


def test_bytes_that_are_no_text_are_a_problem_of_the_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe0")
    assert [p.kind for p in read_yolo_labels(tmp_path / "a.txt", ["a"])[1]] == [Kind.MALFORMED_LINE]
    assert [p.kind for p in read_polygons(tmp_path / "a.txt")[1]] == [Kind.MALFORMED_LINE]


TRIANGLE = '"[0, 0, 9, 0, 9, 9]"'


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ('A,"[0, 0, 9, 0, 9]"', Kind.MALFORMED_POLYGON),
        ('A,"[0, 0, 9"', Kind.MALFORMED_POLYGON),
        ('A,"{}"', Kind.MALFORMED_POLYGON),
        ('A,"[0, 0, true, 0, 9, 9]"', Kind.MALFORMED_POLYGON),
        ('A,"[0, 0, NaN, 0, 9, 9]"', Kind.MALFORMED_POLYGON),
        ('A,"[0, 0, 9, 9]"', Kind.SHORT_POLYGON),
        ('A,"[0, 0, 9, 9, 0, 0]"', Kind.SHORT_POLYGON),
        (f",{TRIANGLE}", Kind.EMPTY_LABEL),
        (f"A,{TRIANGLE},more", Kind.MALFORMED_LINE),
        ("A", Kind.MALFORMED_LINE),
    ],
)
def test_a_wrong_polygon_is_named_and_the_others_are_read(tmp_path, row, kind):
    path = tmp_path / "a.csv"
    path.write_text(f'char,polygon_json\nB,{TRIANGLE}\n{row}\nC,"[[0,0],[9,0],[9,9]]"\n')
    regions, problems = read_polygons(path)
    assert [(r.label, r.line) for r in regions] == [("B", 2), ("C", 4)]
    assert regions[0].outline == regions[1].outline
    assert [(p.kind, p.line) for p in problems] == [(kind, 3)]


def test_a_csv_of_another_kind_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    regions, problems = read_polygons(tmp_path / "a.csv")
    assert (regions, [p.line for p in problems]) == ([], [1])


def test_polygons_are_listed_by_name_with_what_is_missing(tmp_path):
    table = f"char,polygon_json\nA,{TRIANGLE}\n"
    write(tmp_path, {"images/b.png": b"", "images/a.png": b"", "annotations/b.csv": table, "annotations/c.csv": table})
    pages = list_pages(polygons(tmp_path))
    assert [(p.path, p.annotations is None, len(p.regions)) for p in pages] == [
        ("images/a.png", True, 0),
        ("images/b.png", False, 1),
        ("annotations/c.csv", False, 0),
    ]


@pytest.mark.parametrize(
    "files", [{"images/a.png": b""}, {"images/a.png": b"", "annotations/b.csv": ""}, {"annotations/b.csv": "", "images/x": ""}]
)
def test_a_folder_without_its_parts_is_refused(tmp_path, files):
    with pytest.raises(BadInput):
        list_pages(polygons(write(tmp_path, files)))


def test_synthetic_pages_are_listed_by_writer_without_drawing():
    pages = list_pages(SyntheticPages(kind="synthetic_pages", name="drawn", count=5, seed=3))
    assert [p.render for p in pages] == [(3, i, 1.0) for i in range(5)]
    assert all(p.group and p.group.startswith("writer ") for p in pages)
