"""The YOLO head is read the way its authors read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from glyphyard.core.boxes import to_centres
from glyphyard.core.errors import BadInput
from glyphyard.core.yolo import BoxRule, decode_yolo


def head(*boxes: tuple[list[float], list[float]]) -> np.ndarray:
    """An output of one image: corner boxes, each with its classes' probabilities."""
    columns = [np.concatenate([to_centres(np.array(box, float)), scores]) for box, scores in boxes]
    return np.stack(columns, axis=1)[None].astype(np.float32)


def test_the_surest_of_overlapping_boxes_stays_and_each_class_has_its_own():
    output = head(
        ([10, 10, 50, 30], [0.6, 0.1]),
        ([11, 10, 51, 30], [0.9, 0.1]),
        ([11, 10, 51, 31], [0.1, 0.8]),
        ([100, 10, 140, 30], [0.1, 0.2]),
    )
    (found,) = decode_yolo(output, 2, BoxRule(confidence=0.25, iou=0.7))
    assert found.classes.tolist() == [0, 1]
    assert np.allclose(found.boxes, [[11, 10, 51, 30], [11, 10, 51, 31]], atol=1e-4)
    assert np.allclose(found.scores, [0.9, 0.8])
    assert len(decode_yolo(output, 2, BoxRule(across_classes=True))[0]) == 1
    assert len(decode_yolo(output, 2, BoxRule(confidence=0.1, most=1))[0]) == 1


def test_numbers_that_are_none_are_no_boxes():
    output = head(([10, 10, 50, 30], [np.nan]), ([10, 10, np.inf, 30], [0.9]), ([0, 0, 5, 5], [0.5]))
    assert decode_yolo(output, 1, BoxRule())[0].scores.tolist() == [0.5]


@pytest.mark.parametrize("shape", [(5, 100), (1, 100, 5), (1, 6, 100)])
def test_another_shape_is_refused(shape):
    with pytest.raises(BadInput, match="anchors"):
        decode_yolo(np.zeros(shape, np.float32), 1, BoxRule())


THEIRS = """
import json, sys
import numpy as np, torch
from ultralytics.data.augment import LetterBox
from ultralytics.utils.nms import non_max_suppression
output = torch.from_numpy(np.load(sys.argv[1]))
images = np.load(sys.argv[2])
found = non_max_suppression(output, conf_thres=0.25, iou_thres=0.6, max_det=300, nc=3)
np.savez(sys.argv[3], *[f.numpy() for f in found], canvas=LetterBox((320, 320), auto=False)(image=images))
"""


@pytest.mark.slow
def test_ultralytics_reads_the_same_boxes_and_lays_the_same_canvas(tmp_path):
    if find_spec("ultralytics") is None:
        pytest.skip("ultralytics is not installed (extra: detect)")
    from glyphyard.core.letterbox import Letterbox

    random = np.random.default_rng(5)
    centres, sizes = random.uniform(20, 300, (2, 400, 2)), random.uniform(10, 80, (2, 400, 2))
    output = np.concatenate([centres, sizes, random.random((2, 400, 3)) ** 3], axis=2).transpose(0, 2, 1).astype(np.float32)
    image = random.integers(0, 255, (231, 407, 3), np.uint8)
    np.save(tmp_path / "output.npy", output)
    np.save(tmp_path / "image.npy", image)
    environment = os.environ | {"YOLO_CONFIG_DIR": str(tmp_path), "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    arguments = [str(tmp_path / name) for name in ("output.npy", "image.npy", "theirs.npz")]
    subprocess.run([sys.executable, "-c", THEIRS, *arguments], check=True, env=environment, capture_output=True)
    theirs = np.load(tmp_path / "theirs.npz")
    for i, ours in enumerate(decode_yolo(output, 3, BoxRule(0.25, 0.6))):
        expected = theirs[f"arr_{i}"]
        assert len(ours) == len(expected) > 50, json.dumps([len(ours), len(expected)])
        assert np.allclose(ours.scores, expected[:, 4])
        assert np.allclose(ours.boxes, expected[:, :4], atol=1e-3)
        assert ours.classes.tolist() == expected[:, 5].astype(int).tolist()
    assert np.array_equal(Letterbox(320, 320).fit(image)[0][..., ::-1], theirs["canvas"])
