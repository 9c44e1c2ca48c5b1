"""Which picture stands above a reading: what was read, or what is nearest to it, and that this is said."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.files import read_json, write_json
from glyphyard.core.records import DatasetManifest
from glyphyard.report import write_report
from glyphyard.report.crops import SIDES, STRIPS, Crop, Crops, choose_crops

HEIGHTS = {"made": 32, "low": 16, "hr": 60}  # of the pictures that the fixtures make, by side


def chosen(run: Path, enlarged: bool = True) -> Crops:
    dataset = run.parent / "datasets" / "0123456789abcdef"
    manifest = DatasetManifest.read(dataset / "manifest.json")
    return choose_crops(run / "samples.parquet", dataset, manifest, "test", read_json(run / "recipe.json"), enlarged)


def shown(crop: Crop) -> str:
    """Return which side of the crop its picture is."""
    data = np.frombuffer(base64.b64decode(crop.image.partition(",")[2]), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    return next(side for side, height in HEIGHTS.items() if height == image.shape[0])


def test_what_was_made_is_shown_where_it_was_kept_and_else_the_small_side(restorer_run: Path) -> None:
    crops = chosen(restorer_run)
    sides = [shown(crop) for crop in [*crops.wrong, *crops.right]]
    assert set(sides) == {"made", "low"}
    assert [crop.side for crop in [*crops.wrong, *crops.right]] == [SIDES[side][0] for side in sides]
    assert SIDES["made"][1] in crops.about
    assert SIDES["low"][1] in crops.about
    assert SIDES["hr"][1] not in crops.about
    page = write_report(restorer_run).read_text()
    assert crops.about in page
    assert re.findall(r'class="side">([^<]*)', page) == [SIDES[side][0] for side in sides]


@pytest.mark.parametrize("lost", ["missing", "broken"])
def test_without_strips_all_are_small_sides(restorer_run: Path, lost: str) -> None:
    (restorer_run / STRIPS).unlink() if lost == "missing" else (restorer_run / STRIPS).write_bytes(b"PAR1")
    crops = chosen(restorer_run)
    assert {shown(crop) for crop in [*crops.wrong, *crops.right]} == {"low"}


def test_without_a_dataset_what_was_made_is_still_there(restorer_run: Path) -> None:
    crops = choose_crops(restorer_run / "samples.parquet", None, None, "test", {}, enlarged=True)
    pictured = [crop for crop in [*crops.wrong, *crops.right] if crop.image]
    assert {shown(crop) for crop in pictured} == {"made"}
    assert all(crop.side for crop in pictured)
    assert not any(crop.side for crop in [*crops.wrong, *crops.right] if not crop.image)


def test_the_original_stands_in_and_says_so(restorer_run: Path) -> None:
    path = restorer_run.parent / "datasets" / "0123456789abcdef" / "manifest.json"
    write_json(path, read_json(path) | {"low_pixels": None})
    (restorer_run / STRIPS).unlink()
    crops = chosen(restorer_run)
    assert {(shown(crop), crop.side) for crop in [*crops.wrong, *crops.right]} == {("hr", SIDES["hr"][0])}
    assert SIDES["hr"][1] in crops.about


def test_crops_that_are_read_as_they_are_need_no_word(run: Path, restorer_run: Path) -> None:
    for any_run in (run, restorer_run):  # a recogniser may be trained on the large sides of a dataset that has both
        crops = chosen(any_run, enlarged=False)
        assert {(shown(crop), crop.side) for crop in [*crops.wrong, *crops.right]} == {("hr", "")}
        assert crops.about == ""
    assert 'class="side"' not in write_report(run).read_text()
