"""The size that a header says is the size that the decoder gives, and an absurd one is refused before it is decoded."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.core.image_header import header_size
from glyphyard.core.pixels import decode_image

SUFFIXES = [".png", ".jpg", ".bmp", ".webp", ".gif", ".tiff"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_header_says_what_is_decoded(suffix: str, channels: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (37, 211, channels), dtype=np.uint8)
    if suffix == ".gif" and (channels == 1 or int(cv2.__version__.split(".")[0]) < 5):
        pytest.skip("this OpenCV writes no such GIF")
    data = cv2.imencode(suffix, image)[1]
    assert header_size(bytes(data)) == (211, 37)
    with pytest.raises(BadInput, match="megapixels"):
        decode_image(bytes(data), max_pixels=211 * 37 - 1)


def test_a_lossless_webp_says_its_size_too() -> None:
    data = cv2.imencode(".webp", np.zeros((5, 300, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])[1]
    assert header_size(bytes(data)) == (300, 5)


def test_a_webp_of_sixteen_thousand_a_side_is_never_decoded() -> None:
    bomb = b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (16382).to_bytes(3, "little") * 2
    with pytest.raises(BadInput, match="16383x16383"):
        decode_image(bomb)


def test_a_jpeg_may_be_padded() -> None:
    data = bytes(cv2.imencode(".jpg", np.zeros((20, 40), np.uint8))[1])
    assert header_size(data[:2] + b"\xff\xff" + data[2:]) == (40, 20)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"RIFF1234WEBP"]),
)
def test_nonsense_is_no_size_and_no_crash(rest: bytes, start: bytes) -> None:
    size = header_size(start + rest)
    assert size is None or all(isinstance(side, int) for side in size)


def test_a_tiff_without_sizes_has_none() -> None:
    assert header_size(b"II*\0" + struct.pack("<IH", 8, 0)) is None
