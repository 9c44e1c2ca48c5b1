"""The audit of regions names file and line, and keeps of a page what can be learnt."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.data.findings import Kind
from glyphyard.data.page_set import deal, gather_pages
from glyphyard.data.region_audit import audit_pages, measure_image, refuse_too_many_bad_regions, self_crossing
from glyphyard.data.sources.page import Page, Region
from glyphyard.recipe.dataset import DatasetConfig, PolygonCsv, SplitConfig, SyntheticPages

WIDTH, HEIGHT = 200, 100


def image(path: Path, width: int = WIDTH, height: int = HEIGHT, grey: int = 200) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), grey, np.uint8))
    return path


def page(path: Path, *regions: tuple[float, ...], relative: bool = False, **fields: object) -> Page:
    listed = tuple(Region("A", tuple(outline), 2 + i) for i, outline in enumerate(regions))
    return Page("plates", path.name, str(path), "labels.csv", listed, relative=relative, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outline", "kind", "kept"),
    [
        ((10, 10, 60, 40), None, True),
        ((0, 0, 200.5, 100), None, True),
        ((-30, 10, 60, 40), Kind.CUT_BY_BORDER, True),
        ((-50, 10, 20, 40), Kind.OUTSIDE_IMAGE, False),
        ((300, 10, 350, 40), Kind.OUTSIDE_IMAGE, False),
        ((10, 10, 10.4, 40), Kind.EMPTY_REGION, False),
        ((60, 10, 10, 40), Kind.EMPTY_REGION, False),
        ((10, 10, 60, 10, 60, 40), None, True),
        ((10, 10, 60, 40, 60, 10, 10, 40), Kind.SELF_CROSSING, True),
        ((10, 10, 60, 10, 35, 10), Kind.EMPTY_REGION, False),
        ((150, 10, 230, 10, 230, 60), Kind.CUT_BY_BORDER, True),
    ],
)
def test_a_region_is_kept_cut_or_left_out(tmp_path, outline, kind, kept):
    good, findings = audit_pages([page(image(tmp_path / "a.png"), outline, (100, 50, 140, 90))])
    assert [(f.kind, f.line, f.file) for f in findings] == ([(kind, 2, "labels.csv")] if kind else [])
    assert len(good[0].boxes) == 1 + kept
    assert (good[0].boxes >= 0).all()
    assert (good[0].boxes <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()


def test_shares_of_the_page_become_pixels(tmp_path):
    good, _ = audit_pages([page(image(tmp_path / "a.png"), (0.1, 0.1, 0.5, 0.5), relative=True)])
    assert good[0].boxes.tolist() == [[20, 10, 100, 50]]


def test_the_second_of_two_equal_boxes_goes(tmp_path):
    good, findings = audit_pages([page(image(tmp_path / "a.png"), (10, 10, 60, 40), (10, 10, 60, 40.5))])
    assert [(f.kind, f.line, f.severity) for f in findings] == [(Kind.DUPLICATE_REGION, 3, "warning")]
    assert len(good[0].boxes) == 1


@pytest.mark.parametrize(("option", "pages"), [("negative", 1), ("leave_out", 0)])
def test_an_image_without_annotations_is_a_negative_or_left_out(tmp_path, option, pages):
    bare = Page("plates", "a.png", str(image(tmp_path / "a.png")), None)
    good, findings = audit_pages([bare], option)
    assert len(good) == pages
    assert [f.kind for f in findings] == [Kind.NO_ANNOTATIONS]


def test_a_page_whose_regions_are_all_wrong_is_not_taken_for_empty(tmp_path):
    broken, empty = page(image(tmp_path / "a.png"), (300, 10, 350, 40)), page(image(tmp_path / "b.png"))
    good, _ = audit_pages([broken, empty])
    assert [p.page.path for p in good] == ["b.png"]


def test_images_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG nothing")
    whole = cv2.imencode(".jpg", np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    pages = [page(tmp_path / name, (1, 1, 9, 9)) for name in ("gone.png", "torn.png", "torn.jpg")]
    good, findings = audit_pages(pages)
    assert good == []
    assert [f.kind for f in findings] == [Kind.MISSING_IMAGE, Kind.UNREADABLE_IMAGE, Kind.UNREADABLE_IMAGE]


def test_a_turned_photo_is_measured_as_opencv_decodes_it(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30)).save(tmp_path / "a.jpg", exif=exif)
    width, height, _ = measure_image(tmp_path / "a.jpg")
    assert cv2.imread(str(tmp_path / "a.jpg")).shape[:2] == (height, width) == (60, 30)


def test_characters_outside_the_alphabet_are_left_out(tmp_path):
    listed = page(image(tmp_path / "a.png"), (10, 10, 60, 40))
    good, findings = audit_pages([listed], characters={"B"})
    assert good == []
    assert [f.kind for f in findings] == [Kind.UNKNOWN_CHARACTER]


def test_too_many_bad_regions_stop_with_the_first_place(tmp_path):
    pages = [page(image(tmp_path / "a.png"), (10, 10, 60, 40), (300, 10, 350, 40))]
    _, findings = audit_pages(pages)
    refuse_too_many_bad_regions(pages, findings, 0.4)
    with pytest.raises(BadInput, match=r"labels\.csv:3: region_outside_image") as caught:
        refuse_too_many_bad_regions(pages, findings, 0.1)
    assert "1 of 3" in str(caught.value)


@given(st.integers(3, 12), st.integers(0, 2**31))
def test_a_star_shaped_polygon_never_crosses_itself(corners, seed):
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, corners))
    radius = random.uniform(5, 50, corners)
    star = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    if np.diff(np.append(angles, angles[0] + 2 * np.pi)).max() < np.pi:  # its middle lies inside
        assert self_crossing(star) is None


def test_touching_is_not_crossing():
    spike = np.array([(24, 31), (36, 31), (34, 31), (33, 30), (24, 26)], float)  # runs back on itself
    assert self_crossing(spike) is None
    assert self_crossing(np.array([(0, 0), (9, 9), (9, 0), (0, 9)], float)) == (0, 2)


def test_equal_images_stay_on_one_side_and_own_splits_are_kept(tmp_path):
    pages = [
        page(image(tmp_path / "a.png", grey=1), (1, 1, 9, 9), split="train"),
        page(image(tmp_path / "b.png", grey=1), (1, 1, 9, 9), split="test"),
        page(image(tmp_path / "c.png", grey=2), (1, 1, 9, 9), split="train"),
        page(image(tmp_path / "d.png", grey=2), (1, 1, 9, 9), split="train"),
    ]
    good, _ = audit_pages(pages)
    sides, findings = deal(good, SplitConfig(validation=0.2, test=0.2))
    assert {side: [p.page.path for p in kept] for side, kept in sides.items()} == {
        "train": ["c.png"],
        "validation": [],
        "test": ["b.png"],
    }
    assert [f.kind for f in findings] == [Kind.HELD_OUT_ELSEWHERE, Kind.DUPLICATE_IMAGE]


def test_pages_of_one_group_are_dealt_to_one_side(tmp_path):
    pages = [page(image(tmp_path / f"{i}.png", grey=i), (1, 1, 9, 9), group=f"writer {i % 8}") for i in range(40)]
    sides, _ = deal(audit_pages(pages)[0], SplitConfig(validation=0.3, test=0.3))
    writers = [{p.page.group for p in kept} for kept in sides.values()]
    assert sum(map(len, writers)) == len(set.union(*writers)) == 8


def test_all_sources_of_a_data_set_are_gathered(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / "images" / f"{name}.png", grey=ord(name))
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.csv").write_text('char,polygon_json\nA,"[5,5,50,5,50,50]"\n')
    real = PolygonCsv(kind="polygon_csv", name="real", folder=tmp_path, splits=("train",))
    drawn = SyntheticPages(kind="synthetic_pages", name="drawn", count=40)
    found = gather_pages(DatasetConfig(sources=(real, drawn)))
    assert [p.page.path for p in found.pages["train"]] == ["images/a.png", "images/b.png"]
    assert sum(map(len, found.drawn.values())) == 40
    assert len({p.group for p in found.drawn["train"]} & {p.group for p in found.drawn["test"]}) == 0
    report = found.report()
    assert report["labels"] == {"A": 1}
    assert report["counts"] == {"image_without_annotations": 1}


@pytest.mark.real_data
def test_real_characters_are_sound(real_data):
    """All polygons of the shared plates are usable: none is an error."""
    sides = [
        PolygonCsv(kind="polygon_csv", name=name, folder=real_data / "plate_characters" / name, splits=("train",))
        for name in ("train", "val")
    ]
    found = gather_pages(DatasetConfig(sources=tuple(sides)))
    assert sum(len(p.labels) for p in found.pages["train"]) == 1825
    assert [f for f in found.findings if f.severity == "error"] == []
