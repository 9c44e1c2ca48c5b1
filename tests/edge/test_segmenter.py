"""A segmentation bundle on the device: characters in the image's own pixels, and nothing that was altered is run."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from outlining import bundle

from glyphyard.core.boxes import Detections
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.data.synth_outlines import render_outlined
from glyphyard.edge.catalogue import open_bundle
from glyphyard.edge.golden import GoldenCanvases, pack_canvases
from glyphyard.edge.segmenter import Segmenter, missing_of


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    opened = open_bundle(bundle())
    assert isinstance(opened, Segmenter)
    return opened


def plate(index: int = 0) -> np.ndarray:
    return render_outlined(9, index, 0.2).image_bgr


def test_characters_are_found_in_the_images_own_pixels(segmenter):
    image = cv2.resize(plate(), (333, 91))
    found = segmenter.find(image)
    assert len(found)
    assert found.masks.shape == (len(found), 91, 333)
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2] <= 333).all()
    assert (found.boxes[:, 3] <= 91).all()
    assert np.all(np.diff(found.scores) <= 0)
    for box, mask in zip(found.boxes, found.masks, strict=True):
        ys, xs = np.nonzero(mask)
        if len(xs):
            assert box[0] - 1 <= xs.min() <= xs.max() <= box[2] + 1
            assert box[1] - 1 <= ys.min() <= ys.max() <= box[3] + 1


def test_a_path_bytes_grey_and_many_threads_read_alike(segmenter, tmp_path):
    image = plate(1)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    data = (tmp_path / "a.png").read_bytes()
    expected = segmenter.read(image)
    assert segmenter.read(tmp_path / "a.png") == segmenter.read(data) == expected
    assert segmenter.read_many([image, data]) == [expected, expected]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(segmenter.read, [image] * 6)) == [expected] * 6
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert segmenter.find(grey).masks.shape[1:] == grey.shape


def test_one_class_reads_a_question_mark_for_each_character():
    finder = Segmenter(bundle("binary"))
    assert finder.classes == ("character",)
    box = np.array([[0, 0, 9, 20], [12, 0, 20, 20]], float)
    reading = finder.read_found(Detections(box, np.array([0.99, 0.98]), np.zeros(2, int)))
    assert reading.text == "??"


def test_what_is_no_image_is_said(segmenter):
    for wrong in (b"no image", np.zeros((0, 5), np.uint8), np.zeros((5, 5), np.float32), "nowhere.png"):
        with pytest.raises(BadInput):
            segmenter.find(wrong)
    with pytest.raises(BadInput, match="decode"):
        Segmenter(bundle(), decode="beam")


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_an_altered_file_is_refused(tmp_path, name):
    folder = shutil.copytree(bundle(), tmp_path / "bundle")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BadInput, match="SHA-256"):
        Segmenter(folder)


def rewritten(folder, **changes):
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "detection"}, {"runtime": "tensorrt"}, {"schema_version": 2}, {"confidence": 1.5}, {"classes": []}, {"files": {}},
        {"pixels": {"kind": "letterbox", "height": 4, "width": 128, "grey": 114, "enlarge": True}},
    ],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, changes):
    with pytest.raises(BadInput):
        Segmenter(rewritten(shutil.copytree(bundle(), tmp_path / "bundle"), **changes))


def test_a_device_that_finds_something_else_is_noticed(tmp_path):
    folder = shutil.copytree(bundle(), tmp_path / "bundle")
    canvas = np.full((64, 128, 3), 200, np.uint8)
    never = Detections(np.array([[3.0, 3, 20, 20]]), np.array([0.97]), np.array([1]))
    (folder / "golden.npz").write_bytes(pack_canvases(GoldenCanvases(canvas[None], [never])))
    files = json.loads((folder / "bundle.json").read_text())["files"] | {"golden.npz": sha256_file(folder / "golden.npz")}
    with pytest.raises(BadInput, match="does not run the model faithfully"):
        Segmenter(rewritten(folder, files=files))
    Segmenter(folder, replay_golden=False)


def test_a_character_is_missed_by_place_class_or_score():
    one = Detections(np.array([[0.0, 0, 10, 10]]), np.array([0.9]), np.array([1]))
    assert missing_of(one, one, 0.01) == ""
    for boxes, score, label in (([5.0, 0, 15, 10], 0.9, 1), ([0.0, 0, 10, 10], 0.7, 1), ([0.0, 0, 10, 10], 0.9, 2)):
        assert missing_of(one, Detections(np.array([boxes]), np.array([score]), np.array([label])), 0.01)
    assert missing_of(one, Detections.none(), 0.01)
