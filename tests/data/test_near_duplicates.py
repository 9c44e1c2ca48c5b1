"""Near-duplicates: the fast search finds what comparing every pair finds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.data.near_duplicates import difference_hash, nearest


def brute(a, b, bits):
    best = [min(((x ^ y).bit_count(), i) for i, x in enumerate(a)) if a else (65, 0) for y in b]
    return [(i, j, distance) for j, (distance, i) in enumerate(best) if distance <= bits]


few = st.integers(0, 2**64 - 1).flatmap(
    lambda h: st.lists(st.sets(st.integers(0, 63), max_size=6).map(lambda s: h ^ sum(1 << k for k in s)), max_size=8)
)


@given(few, few, st.integers(0, 16))
def test_all_nearest_are_found_once(a, b, bits):
    b = b + a[:3]
    assert nearest(np.array(a, np.uint64), np.array(b, np.uint64), bits) == brute(a, b, bits)


def test_many_equal_hashes_stay_within_blocks(monkeypatch):
    monkeypatch.setattr("glyphyard.data.near_duplicates.BLOCK", 7)
    a, b = np.zeros(5, np.uint64), np.zeros(11, np.uint64)
    assert nearest(a, b, 3) == [(0, j, 0) for j in range(11)]


def test_twenty_thousand_images_are_searched_at_once():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 2**64, 5000, np.uint64), random.integers(0, 2**64, 15000, np.uint64)
    b[7] = a[3] ^ np.uint64(5)
    assert nearest(a, b, 3) == [(3, 7, 2)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_recompressed_picture_stays_near_and_another_one_is_far(make, channels):
    def grey(image):
        return image if channels == 3 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)

    one, other = grey(make.picture("ABC123")), grey(make.picture("XYZ987"))
    again = cv2.imdecode(cv2.imencode(".jpg", cv2.resize(one, (96, 32)), [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_ANYCOLOR)
    assert (difference_hash(one) ^ difference_hash(again)).bit_count() <= 6
    assert (difference_hash(one) ^ difference_hash(other)).bit_count() > 12
