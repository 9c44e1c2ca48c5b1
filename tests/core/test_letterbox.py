"""The letterbox: everything lands on the canvas, and boxes find back to their image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.core.letterbox import GREY, Letterbox

sides = st.integers(1, 3000)


@given(sides, sides, st.sampled_from([(640, 640), (512, 512), (320, 640)]), st.booleans())
def test_boxes_find_back_from_the_canvas(width, height, canvas, enlarge):
    place = Letterbox(*canvas, enlarge=enlarge).place(width, height)
    boxes = np.array([[0, 0, width, height], [width * 0.2, height * 0.3, width * 0.4, height * 0.9]])
    on_canvas = place.to_canvas(boxes)
    assert (on_canvas >= -1e-6).all()
    assert (on_canvas <= np.array([canvas[1], canvas[0]] * 2) + 1e-6).all()
    assert np.allclose(place.to_image(on_canvas), boxes)


@pytest.mark.parametrize("shape", [(100, 50), (50, 100, 3), (700, 10, 4), (30, 30, 1)])
def test_the_image_stands_in_the_middle_of_grey(shape):
    box = Letterbox(64, 96)
    canvas, place = box.fit(np.full(shape, 200, np.uint8))
    assert canvas.shape == (64, 96, 3)
    x1, y1, x2, y2 = place.to_canvas(np.array([0, 0, shape[1], shape[0]])).round().astype(int)
    assert (canvas[y1:y2, x1:x2] == 200).all()
    outside = np.ones((64, 96), bool)
    outside[y1:y2, x1:x2] = False
    assert (canvas[outside] == GREY).all()
    assert abs(x1 - (96 - x2)) <= 1
    assert abs(y1 - (64 - y2)) <= 1


def test_colours_come_as_rgb_between_zero_and_one():
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255  # blue, as OpenCV reads it
    batch = Letterbox(64, 64).batch([Letterbox(64, 64).fit(image)[0]] * 2)
    assert batch.shape == (2, 3, 64, 64)
    assert batch.dtype == np.float32
    assert batch[0, :, 3, 3].tolist() == [0, 0, 1]


def test_small_images_stay_small_on_request():
    assert Letterbox(640, 640, enlarge=False).place(100, 50).scale_x == 1
    assert Letterbox(640, 640).place(100, 50).scale_x == 6.4


def test_the_contract_survives_json():
    box = Letterbox(512, 640, enlarge=False)
    assert Letterbox.from_json(box.to_json()) == box


@pytest.mark.parametrize("change", [{"height": 8}, {"width": "640"}, {"grey": 300}, {"kind": "resize"}, {"more": 1}])
def test_a_strange_contract_is_refused(change):
    with pytest.raises(BadInput, match="letterbox"):
        Letterbox.from_json(Letterbox().to_json() | change)


@pytest.mark.parametrize("image", [np.zeros((0, 5), np.uint8), np.zeros((5, 5)), np.zeros((5, 5, 2), np.uint8)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(BadInput):
        Letterbox().fit(image)
