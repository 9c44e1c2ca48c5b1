"""Sources list their rows without opening an image, and say what is wrong with a label file in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.data.sources import list_rows


def test_rows_keep_their_line_numbers_and_blank_lines_are_none(tmp_path, make):
    labels = tmp_path / "labels.txt"
    labels.write_bytes("\ufeffa.jpg\tABC 123\r\n\r\nsub/b.jpg\tX\n".encode())
    rows = list_rows(make.real(labels))
    assert [(row.line, row.path, row.text_raw) for row in rows] == [(1, "a.jpg", "ABC 123"), (3, "sub/b.jpg", "X")]
    assert rows[1].file == str(tmp_path / "sub" / "b.jpg")


def test_paths_start_from_the_images_folder(tmp_path, make):
    labels = tmp_path / "labels.txt"
    labels.write_text("a.jpg\tX\n")
    assert list_rows(make.real(labels, images=tmp_path / "crops"))[0].file == str(tmp_path / "crops" / "a.jpg")


@pytest.mark.parametrize("line", ["a.jpg ABC", "a.jpg\tABC\tmore", "\tABC"])
def test_a_malformed_line_stays_a_row_with_its_problem(tmp_path, make, line):
    labels = tmp_path / "labels.txt"
    labels.write_text(f"good.jpg\tX\n{line}\n")
    good, bad = list_rows(make.real(labels))
    assert not good.problem
    assert (bad.line, bool(bad.problem)) == (2, True)


@pytest.mark.parametrize(
    ("content", "place", "word"),
    [
        (b"", "labels.txt:", "empty"),
        (b"\n \n", "labels.txt:", "empty"),
        (b"\na.jpg ABC\nb.jpg DEF\n", "labels.txt:2:", "tab"),
        (b"a.jpg\tABC\nb.jpg\tD\xc9F\n", "labels.txt:2:", "0xc9 as byte 8"),
    ],
)
def test_a_label_file_that_cannot_be_one_is_refused_with_its_line(tmp_path, make, content, place, word):
    labels = tmp_path / "labels.txt"
    labels.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        list_rows(make.real(labels))
    assert place in str(caught.value)
    assert word in str(caught.value)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_missing_label_file_is_named(tmp_path, make):
    with pytest.raises(BadInput, match=r"nowhere\.txt"):
        list_rows(make.real(tmp_path / "nowhere.txt"))
    with pytest.raises(BadInput, match=str(tmp_path)):
        list_rows(make.real(tmp_path))


def _with_metadata(tmp_path: Path, make, csv: str):
    (tmp_path / "labels.txt").write_text("a.jpg\tX\nb.jpg\tY\n")
    (tmp_path / "meta.csv").write_text(csv)
    return list_rows(make.real(tmp_path / "labels.txt", metadata=tmp_path / "meta.csv"))


def test_metadata_columns_come_with_the_row(tmp_path, make):
    rows = _with_metadata(tmp_path, make, "image,state,camera\na.jpg,ca,3\n")
    assert [dict(row.meta) for row in rows] == [{"state": "ca", "camera": "3"}, {}]


@pytest.mark.parametrize(("csv", "line"), [("image\na.jpg\n", 1), ("", 1), ("image,state\na.jpg,ca,more\n", 2)])
def test_broken_metadata_is_refused_with_its_line(tmp_path, make, csv, line):
    with pytest.raises(BadInput, match=rf"meta\.csv:{line}"):
        _with_metadata(tmp_path, make, csv)


def test_rendered_rows_are_listed_without_rendering(make):
    rows = list_rows(make.drawn(count=5, seed=3))
    assert [row.render for row in rows] == [("florida", 3, i, 1.0) for i in range(5)]
    assert all(row.text_raw for row in rows)
    assert len(list_rows(make.drawn(count=5), limit=2)) == 2
