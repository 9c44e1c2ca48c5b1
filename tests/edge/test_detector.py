"""The detector on a device: boxes in pixels of the page, a bundle that is whole, or one line about what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from dark_pages import box, page, score_of, write_finder
from handmade import write_bundle

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json, sha256_file, write_json
from glyphyard.edge.catalogue import open_bundle, open_finder
from glyphyard.edge.detector import Detector
from glyphyard.edge.golden import GoldenCanvases, pack_canvases, unpack_canvases


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_finder(tmp_path_factory.mktemp("finders") / "dark")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return write_finder(tmp_path / "dark")


def test_boxes_come_back_in_pixels_of_the_page(bundle: Path) -> None:
    found = Detector(bundle).find(page([(0, 0), (5, 7)], [0, 25]))
    assert found.boxes.tolist() == [box((0, 0)), box((5, 7))]  # the surest first
    assert found.scores == pytest.approx([1.0, score_of(25)], abs=0.01)
    assert found.classes.tolist() == [0, 0]


def test_a_box_counts_from_the_bundles_confidence_or_the_callers(bundle: Path) -> None:
    grey = page([(2, 2)], [60])  # score about 0.41, the bundle's confidence is 0.5
    detector = Detector(bundle)
    assert len(detector.find(grey)) == 0
    assert len(detector.find(grey, confidence=0.3)) == 1


def test_a_page_may_be_a_path_bytes_grey_or_of_any_size(bundle: Path, tmp_path: Path) -> None:
    image = page([(1, 2)])
    cv2.imwrite(str(tmp_path / "page.png"), image)
    larger = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    images = [tmp_path / "page.png", (tmp_path / "page.png").read_bytes(), image[..., 0], larger]
    found = list(Detector(bundle).find_many(images, batch_size=3))
    assert [f.boxes.tolist() for f in found[:3]] == [[box((1, 2))]] * 3
    assert found[3].boxes.tolist() == [[2 * v for v in box((1, 2))]]


def test_the_batch_changes_nothing(bundle: Path) -> None:
    pages = [page([(i % 6, i % 8)]) for i in range(7)]
    detector = Detector(bundle)
    alone = [detector.find(one).boxes.tolist() for one in pages]
    assert [f.boxes.tolist() for f in detector.find_many(pages, batch_size=4)] == alone


def golden_of(folder: Path) -> GoldenCanvases:
    frame = Detector(folder, replay_golden=False).pixels
    return unpack_canvases((folder / "golden.npz").read_bytes(), "golden.npz", frame.height, frame.width)


def test_a_device_that_finds_other_boxes_is_refused(own: Path) -> None:
    golden = golden_of(own)
    moved = GoldenCanvases(golden.images[:, ::-1].copy(), golden.found)
    (own / "golden.npz").write_bytes(pack_canvases(moved))
    described = read_json(own / "bundle.json")
    write_json(own / "bundle.json", described | {"files": described["files"] | {"golden.npz": sha256_file(own / "golden.npz")}})
    with pytest.raises(BadInput, match=r"golden.npz, canvas 0.*2 of 2 boxes are not found"):
        Detector(own)
    assert len(Detector(own, replay_golden=False).find(page([(0, 0)]))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": 7.0}, "confidence and nms between 0 and 1"),
        ({"classes": []}, "expected classes"),
        ({"schema_version": 99}, "schema 99"),
        ({"pixels": {"kind": "letterbox", "height": 1}}, "expected kind letterbox"),
        ({"extra": 1}, "extra"),
        ({"files": {"model.onnx": "0"}}, "names no golden.npz"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(own: Path, change: dict[str, object], message: str) -> None:
    write_json(own / "bundle.json", read_json(own / "bundle.json") | change)
    with pytest.raises(BadInput, match=message):
        Detector(own)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_an_altered_file_is_refused(own: Path, name: str) -> None:
    data = bytearray((own / name).read_bytes())
    data[-9] ^= 1
    (own / name).write_bytes(bytes(data))
    with pytest.raises(BadInput, match=rf"{name}.*SHA-256"):
        Detector(own)


def test_each_bundle_is_opened_by_its_own_door(bundle: Path, tmp_path: Path) -> None:
    reader = write_bundle(tmp_path / "striped")
    assert open_finder(bundle).classes == ["handwriting"]
    with pytest.raises(BadInput, match=r"'recognition'.*reads crops"):
        open_finder(reader)
    with pytest.raises(BadInput, match=r"'detection'.*--detector"):
        open_bundle(bundle)
    (tmp_path / "bundle.json").write_text(json.dumps({"task": "juggling"}))
    with pytest.raises(BadInput, match="juggling"):
        open_finder(tmp_path)
