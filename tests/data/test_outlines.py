"""Outlines survive their column and their padding, and follow their pixels through augmentation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.core.letterbox import Letterbox
from glyphyard.data.augment import augment, augment_traced, follow
from glyphyard.data.outlines import MOST_CORNERS, box_of, pack, padded, thinned, to_canvas, to_image, unpack
from glyphyard.data.region_masks import polygon_mask
from glyphyard.data.synth_outlines import render_outlined, rows_of_plate
from glyphyard.recipe.augmentation import AugmentationConfig

CORNERS = st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300)), min_size=3, max_size=20)


@given(st.lists(st.tuples(st.sampled_from("AB0ß"), CORNERS), max_size=4))
def test_the_column_gives_back_what_it_got(characters):
    labels, outlines = [c for c, _ in characters], [np.array(o) for _, o in characters]
    again, places = unpack(pack(labels, outlines))
    assert again == labels
    for mine, theirs in zip(places, outlines, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.005001)


@pytest.mark.parametrize("text", ["", "{}x", "[[1]]", '[["A", "no"]]', '[["A", [[1, 2], [3]]]]'])
def test_a_broken_column_is_said(text):
    with pytest.raises(BadInput):
        unpack(text)


def test_padding_changes_no_mask():
    square, triangle = np.array([(2, 2), (20, 2), (20, 20), (2, 20)]), np.array([(5, 5), (30, 5), (5, 30)])
    tensors = padded([pack("A", [square]), pack("BO", [triangle, square]), "[]"], "AB0", {"O": "0"})
    assert tensors["labels"].tolist() == [[1, 0], [2, 3], [0, 0]]
    assert tensors["outlines"].shape == (3, 2, 4, 2)
    for got, true in ((tensors["outlines"][1, 0], triangle), (tensors["outlines"][0, 0], square)):
        np.testing.assert_array_equal(polygon_mask(got.numpy(), 40, 40), polygon_mask(true, 40, 40))


def test_a_long_outline_gets_fewer_corners_and_hardly_another_shape():
    angle = np.linspace(0, 2 * np.pi, 900, endpoint=False)
    circle = np.stack([100 + 60 * np.cos(angle), 100 + 40 * np.sin(angle)], axis=1)
    short = thinned(circle)
    assert 8 < len(short) <= MOST_CORNERS
    a, b = (polygon_mask(o, 200, 200) for o in (circle, short))
    assert (a ^ b).sum() < 0.02 * a.sum()
    assert len(thinned(circle[:5])) == 5


def test_outlines_go_to_the_canvas_and_back():
    place = Letterbox(64, 128).place(77, 31)
    outline = np.array([(3.5, 2.0), (70.0, 4.0), (40.0, 30.0)])
    np.testing.assert_allclose(to_image(to_canvas(outline, place), place), outline, atol=1e-9)
    assert box_of(outline).tolist() == [3.5, 2.0, 70.0, 30.0]


def test_outlines_follow_their_pixels():
    config = AugmentationConfig(
        rotate_deg=12, shear_deg=8, scale=0.2, translate=0.08, perspective=0.1, brightness=0, contrast=0, blur_sigma_px=0
    )
    shape = np.array([(30, 20), (60, 15), (75, 45), (50, 38), (28, 50)], float)
    image = (polygon_mask(shape, 64, 128) * 255).astype(np.uint8)
    batch = torch.from_numpy(np.stack([image] * 8))
    dice = torch.Generator().manual_seed(5)
    moved, origins = augment_traced(batch, config, dice)
    assert torch.equal(moved, augment(batch, config, torch.Generator().manual_seed(5)))
    outlines = follow(np.stack([shape] * 8), origins, 64, 128)
    for picture, outline in zip(moved[:, 0].numpy() > 0.5, outlines, strict=True):
        mask = polygon_mask(outline, 64, 128)
        assert (picture & mask).sum() / (picture | mask).sum() > 0.9
        assert abs(outline - shape).max() > 1
    still = AugmentationConfig(rotate_deg=0)
    assert augment_traced(batch, still, dice)[1] is None


def test_drawn_characters_lie_inside_their_outlines():
    for index in range(6):
        plate = render_outlined(4, index, 0.0)
        assert "".join(plate.labels) == "".join(rows_of_plate(4, index))
        grey = cv2.cvtColor(plate.image_bgr, cv2.COLOR_BGR2GRAY).astype(float)
        inside = np.zeros(grey.shape, bool)
        for outline in plate.outlines:
            inside |= polygon_mask(outline, *grey.shape)
        assert abs(grey[inside].mean() - grey[~inside].mean()) > 50
        assert np.array_equal(plate.image_bgr, render_outlined(4, index, 0.0).image_bgr)
