"""`glyphyard predict --detector`: regions of pages in reading order, read by a reader, as rows, JSON and pictures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from dark_pages import box, page, write_finder
from handmade import write_bundle

from glyphyard.cli.main import main as run_main

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_finder(tmp_path_factory.mktemp("finders") / "dark")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("readers") / "striped")


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), page([(4, 3), (0, 0), (1, 3)], [0, 10, 20]))
    cv2.imwrite(str(folder / "empty.png"), page([]))
    (folder / "torn.png").write_bytes(b"no image")
    return folder


def predict(capsys: Captured, *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        run_main(["predict", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stopped.value.code or 0), captured.out, captured.err


def test_regions_come_in_reading_order(capsys: Captured, finder: Path, pages: Path) -> None:
    code, out, _ = predict(capsys, pages / "a.png", "--detector", finder)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [[float(row[key]) for key in ("x1", "y1", "x2", "y2")] for row in rows] == [box((0, 0)), box((1, 3)), box((4, 3))]
    assert [row["region"] for row in rows] == ["1", "2", "3"]
    assert {row["label"] for row in rows} == {"handwriting"}
    assert {row["text"] for row in rows} == {""}


def test_a_reader_reads_each_region(capsys: Captured, finder: Path, reader: Path, pages: Path) -> None:
    code, out, _ = predict(capsys, pages / "a.png", "--detector", finder, "--reader", reader, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["width"], found["height"], found["error"]) == (96, 128, "")
    assert all(isinstance(region["text_confidence"], float) for region in found["regions"])


def test_a_folder_becomes_tables_and_pictures(capsys: Captured, finder: Path, pages: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, shown, told = predict(capsys, pages, "--detector", finder, "--out", out)
    assert (code, shown) == (0, "")
    assert "3 pages, 1 unreadable, 3 regions" in told
    assert sorted(p.name for p in out.iterdir()) == ["a.regions.jpg", "empty.regions.jpg", "regions.csv", "regions.json"]
    value = json.loads((out / "regions.json").read_text())
    assert [len(one["regions"]) for one in value] == [3, 0, 0]
    assert [bool(one["error"]) for one in value] == [False, False, True]
    rows = list(csv.DictReader((out / "regions.csv").open()))
    assert [row["error"] != "" for row in rows] == [False, False, False, True]
    picture = cv2.imread(str(out / "a.regions.jpg"))
    assert picture.shape == (128, 96, 3)
    assert np.abs(picture.astype(int) - cv2.imread(str(pages / "a.png")).astype(int)).max() > 60  # something is drawn


@pytest.mark.parametrize("below", ["out", "."])
def test_what_it_wrote_is_no_page_of_the_next_reading(
    capsys: Captured, finder: Path, pages: Path, tmp_path: Path, below: str
) -> None:
    for _ in range(2):
        code, _, told = predict(capsys, pages, "--detector", finder, "--out", pages / below)
        assert code == 0
        assert "3 pages, 1 unreadable, 3 regions" in told


def test_pages_of_one_name_do_not_overwrite_each_other(capsys: Captured, finder: Path, pages: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    cv2.imwrite(str(tmp_path / "more" / "a.png"), page([(2, 2)]))
    predict(capsys, pages / "a.png", tmp_path / "more", "--detector", finder, "--out", tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").glob("*.jpg")} == {"a.regions.jpg", "a.2.regions.jpg"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{pages}", "--detector", "{reader}"], 2, "'recognition'"),
        (["{pages}", "--detector", "{finder}", "--reader", "{finder}"], 2, "'detection'"),
        (["{pages}", "--reader", "{reader}"], 2, "--detector"),
        (["{finder}", "{pages}"], 2, "--detector"),
        (["{reader}"], 2, "BUNDLE"),
        (["{pages}", "--detector", "{pages}"], 2, "bundle.json"),
        (["{pages}/nothing", "--detector", "{finder}"], 0, "nothing"),
    ],
)
def test_what_does_not_fit_is_one_line(
    capsys: Captured, finder: Path, reader: Path, pages: Path, arguments: list[str], code: int, words: str
) -> None:
    places = {"pages": pages, "finder": finder, "reader": reader}
    found, out, told = predict(capsys, *(argument.format(**places) for argument in arguments))
    assert found == code
    assert words in out + told
    assert "Traceback" not in out + told
