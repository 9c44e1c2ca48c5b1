"""One way from any image to the network's input; what is no image is refused before it costs anything."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import PixelContract, decode_image, read_image


def picture(height: int = 40, width: int = 100, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: np.ndarray, extension: str = ".png") -> bytes:
    return bytes(cv2.imencode(extension, image)[1])


@given(
    st.integers(1, 90),
    st.integers(1, 200),
    st.sampled_from([1, 3, 4]),
    st.sampled_from([1, 3]),
    st.sampled_from(["linear", "cubic", "area"]),
)
@settings(max_examples=40, deadline=None)
def test_every_image_comes_out_in_the_contracts_shape(
    height: int, width: int, channels: int, wanted: int, interpolation: str
) -> None:
    contract = PixelContract(channels=wanted, interpolation=interpolation)
    resized = contract.resize(picture(height, width, channels))
    assert resized.dtype == np.uint8
    assert resized.shape == ((32, 128) if wanted == 1 else (32, 128, 3))
    batch = contract.batch([resized, resized])
    assert batch.shape == (2, wanted, 32, 128)
    assert batch.dtype == np.float32
    assert 0 <= batch.min() <= batch.max() <= 1


def test_the_seeds_lines_give_the_same_numbers() -> None:
    crop = picture()
    theirs = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), (128, 32)).astype(np.float32) / 255.0
    contract = PixelContract()
    assert np.array_equal(contract.batch([contract.resize(crop)])[0, 0], theirs)


def test_grey_is_grey_however_it_is_held() -> None:
    grey = picture(channels=1)
    contract = PixelContract()
    forms = [grey, grey[:, :, None], cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA)]
    assert all(np.array_equal(contract.resize(form), contract.resize(grey)) for form in forms)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5), np.float32),
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((5, 5, 3, 1), np.uint8),
        np.zeros(5, np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(BadInput, match="image"):
        PixelContract().resize(image)


def test_the_contract_survives_json() -> None:
    contract = PixelContract(48, 160, 3, "area")
    assert PixelContract.from_json(contract.to_json()) == contract


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": True},
        {"height": "32"},
        {"width": 10**6},
        {"channels": 2},
        {"interpolation": "lanczos"},
        {"more": 1},
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="somewhere"):
        PixelContract.from_json(PixelContract().to_json() | change, "somewhere")


def test_a_contract_with_a_lost_key_or_of_another_kind_is_refused() -> None:
    for value in ({"height": 32}, [], None, "x"):
        with pytest.raises(BadInput):
            PixelContract.from_json(value)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".bmp", ".webp"])
def test_encoded_images_are_decoded(extension: str) -> None:
    assert decode_image(encoded(picture(), extension)).shape == (40, 100, 3)
    assert decode_image(encoded(picture(channels=1), extension)).shape[:2] == (40, 100)


def test_a_png_comes_back_pixel_for_pixel(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    assert np.array_equal(read_image(tmp_path / "a.png"), picture())


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "decoded"),
        (b"no image at all", "decoded"),
        (encoded(picture(200, 400), ".jpg")[:-500], "truncated JPEG"),
        (png_header(10_000, 5_000), "50 megapixel|more than"),
        (png_header(4, 4), "truncated PNG"),
    ],
    ids=["empty", "text", "truncated jpeg", "50 megapixels", "only a header"],
)
def test_bytes_that_are_no_image_are_refused_by_name(data: bytes, word: str) -> None:
    with pytest.raises(BadInput, match=word) as caught:
        decode_image(data, "crop 7")
    assert str(caught.value).startswith("crop 7")


def test_a_damaged_png_is_refused_before_libpng_speaks(capfd: pytest.CaptureFixture[str]) -> None:
    whole = encoded(picture())
    for size in range(8, len(whole), 97):
        with pytest.raises(BadInput, match="truncated PNG"):
            decode_image(whole[:size], "crop")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged, word in ((whole[:-1], "truncated"), (bytes(flipped), "checksum")):
        with pytest.raises(BadInput, match=word):
            decode_image(damaged, "crop")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_bytes_after_an_images_end_do_no_harm(extension: str) -> None:
    whole = encoded(picture(), extension)
    assert np.array_equal(decode_image(whole + bytes(200)), decode_image(whole))


def test_the_end_of_a_jpegs_thumbnail_is_not_its_own() -> None:
    thumbnail, whole = encoded(picture(8, 8), ".jpg"), encoded(picture(200, 400), ".jpg")
    whole = whole[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail + whole[2:]
    assert decode_image(whole + bytes(200)).shape == (200, 400, 3)
    with pytest.raises(BadInput, match="truncated JPEG"):
        decode_image(whole[: len(whole) // 2])


def test_a_large_jpeg_is_refused_by_its_header() -> None:
    jpeg = encoded(picture(64, 64), ".jpg")
    with pytest.raises(BadInput, match="megapixels"):
        decode_image(jpeg, "crop", max_pixels=64 * 64 - 1)
    assert decode_image(jpeg, "crop", max_pixels=64 * 64).shape == (64, 64, 3)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(BadInput):
        read_image(tmp_path)
