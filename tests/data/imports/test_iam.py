"""IAM: lines become boxes, writers stay on one side, and whoever has no data is told how to get it."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.errors import BadInput
from glyphyard.data.findings import Kind
from glyphyard.data.imports.iam import import_iam
from glyphyard.data.imports.iam_labels import IamLabels
from glyphyard.recipe.dataset import SplitConfig

SPLIT = SplitConfig(validation=0.25, test=0.25, group_by="path")
XML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE form SYSTEM "../DTD/form-metadata.dtd">
<form id="{form}" writer-id="{writer}" height="600" width="400">
  <handwritten-part>
    <line id="{form}-00" text="A MOVE to"><word id="w" text="A"><cmp x="40" y="100" width="60" height="30"/></word>
      <word id="v" text="MOVE"><cmp x="120" y="96" width="160" height="40"/><cmp x="290" y="99" width="4" height="4"/></word></line>
    <line id="{form}-01" text="stop"><word id="u" text="stop"><cmp x="44" y="180" width="100" height="33"/></word></line>
  </handwritten-part>
</form>
"""
FORMS = {f"a{i:02d}-000": f"{i % 8:03d}" for i in range(16)}


def page(height: int = 600, width: int = 400) -> bytes:
    return cv2.imencode(".png", np.full((height, width), 230, np.uint8))[1].tobytes()


def archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))


def labels_of(out: Path) -> dict[str, list[list[float]]]:
    return {p.stem: [[float(v) for v in line.split()] for line in p.read_text().splitlines()] for p in out.glob("labels/*/*.txt")}


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.fixture
def archives(tmp_path):
    """A folder with the archives as they are downloaded: forms, and their XML."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    archive(folder / "formsA-D.tgz", {f"{form}.png": page() for form in FORMS})
    archive(folder / "xml.tgz", {f"{form}.xml": XML.format(form=form, writer=writer).encode() for form, writer in FORMS.items()})
    return folder


def test_archives_become_a_folder_with_writers_on_one_side(tmp_path, archives):
    made = import_iam(archives, tmp_path / "out", SPLIT, 300, quiet)
    assert sum(made.pages.values()) == 16
    assert sum(made.boxes.values()) == 32
    boxes = labels_of(tmp_path / "out")["a00-000"]
    assert boxes[0][1:] == pytest.approx([(40 + 294) / 2 / 400, (96 + 136) / 2 / 600, 254 / 400, 40 / 600], abs=1e-5)
    with (tmp_path / "out" / "lines.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[0]["text"] == "A MOVE to"
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["writer"], set()).add(row["split"])
    assert len(sides) == 8
    assert all(len(side) == 1 for side in sides.values())
    image = cv2.imread(str(next((tmp_path / "out").glob("images/*/a00-000.jpg"))))
    assert image.shape[0] == 300
    assert (tmp_path / "out" / "boxes.png").is_file()


def test_an_unpacked_folder_with_the_ascii_files_gives_the_same_boxes(tmp_path, archives):
    import_iam(archives, tmp_path / "first", SPLIT, 300, quiet)
    folder = tmp_path / "unpacked"
    (folder / "forms").mkdir(parents=True)
    (folder / "ascii").mkdir()
    for form in FORMS:
        (folder / "forms" / f"{form}.png").write_bytes(page())
    lines = "".join(
        f"{form}-00 ok 154 19 40 96 254 40 A|MOVE|to\n{form}-01 ok 154 19 44 180 100 33 stop\n{form}-02 broken\n"
        for form in FORMS
    )
    (folder / "ascii" / "lines.txt").write_text("# a comment\n" + lines)
    (folder / "ascii" / "forms.txt").write_text("# a comment\n" + "".join(f"{f} {w} 2 prt 7 5 52 36\n" for f, w in FORMS.items()))
    made = import_iam(folder, tmp_path / "second", SPLIT, 300, quiet)
    assert labels_of(tmp_path / "second") == labels_of(tmp_path / "first")
    wrong = [f for f in made.findings if f.kind == Kind.MALFORMED_LINE]
    assert len(wrong) == 16
    assert (Path(wrong[0].file).name, wrong[0].line) == ("lines.txt", 4)


def test_forms_without_writer_image_or_place_are_told(tmp_path, archives):
    archive(
        archives / "more.tgz",
        {
            "b00-000.png": page(),
            "b00-000.xml": XML.format(form="b00-000", writer="").encode(),
            "b01-000.xml": XML.format(form="b01-000", writer="9").encode(),
            "b02-000.png": page(90, 90),
            "b02-000.xml": XML.format(form="b02-000", writer="9").encode(),
            "b03-000.xml": b"<form",
        },
    )
    made = import_iam(archives, tmp_path / "out", SPLIT, 300, quiet)
    counts = {f.kind for f in made.findings}
    assert {Kind.NO_GROUP, Kind.NO_IMAGE, Kind.OUTSIDE_IMAGE, Kind.MALFORMED_LINE} <= counts


@pytest.mark.parametrize("make", ["nothing", "empty", "file", "images_only"])
def test_without_the_data_a_person_is_told_how_to_get_it(tmp_path, make):
    place = tmp_path / "place"
    if make in ("empty", "images_only"):
        place.mkdir()
    if make == "file":
        place.write_text("x")
    if make == "images_only":
        (place / "a01-000u.png").write_bytes(page())
    with pytest.raises(BadInput, match=r"register at https://\S+.*formsA-D\.tgz") as caught:
        import_iam(place, tmp_path / "out", SPLIT, 300, quiet)
    assert "password" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_labels_without_any_form_are_refused_and_nothing_is_left(tmp_path):
    archive(tmp_path / "xml.tgz", {"a.xml": XML.format(form="a", writer="1").encode()})
    with pytest.raises(BadInput, match="no form's image"):
        import_iam(tmp_path / "xml.tgz", tmp_path / "out", SPLIT, 300, quiet)
    assert [p.name for p in tmp_path.iterdir()] == ["xml.tgz"]


def test_entities_are_refused():
    bomb = b'<!DOCTYPE form [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><form id="x">&b;</form>'
    with pytest.raises(BadInput, match="GY094"):
        IamLabels().read("x.xml", bomb)
