"""golden.npz: what was packed comes back, and whatever else stands in the file is one line, not an error of numpy's or memory gone."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.boxes import Detections
from glyphyard.core.errors import BadInput
from glyphyard.edge import golden as golden_module
from glyphyard.edge.golden import GoldenCanvases, pack_arrays, pack_canvases, unpack_arrays, unpack_canvases
from glyphyard.edge.restorer import GoldenPairs, pack_pairs, unpack_pairs

NOT_GOLDEN = [b"", b"no zip", b"PK\x03\x04 no zip", b"\x00" * 64]


def bomb(**names: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in names.items():
            archive.writestr(f"{name}.npy", b"\0" * size)
    return buffer.getvalue()


def canvases(counts: list[int]) -> GoldenCanvases:
    rng = np.random.default_rng(len(counts))
    found = [Detections(rng.random((n, 4)), rng.random(n), rng.integers(0, 9, n)) for n in counts]
    return GoldenCanvases(rng.integers(0, 256, (len(counts), 6, 8, 3), np.uint8), found)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_canvases_come_back(counts: list[int]) -> None:
    golden = canvases(counts)
    again = unpack_canvases(pack_canvases(golden), "golden.npz", 6, 8)
    assert np.array_equal(golden.images, again.images)
    for found, expected in zip(again.found, golden.found, strict=True):
        assert np.array_equal(found.boxes, expected.boxes)
        assert np.array_equal(found.scores, expected.scores)
        assert np.array_equal(found.classes, expected.classes)


@pytest.mark.parametrize("data", NOT_GOLDEN)
def test_bytes_that_are_no_golden_file_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"golden\.npz"):
        unpack_canvases(data, "golden.npz", 6, 8)
    with pytest.raises(BadInput, match=r"golden\.npz"):
        unpack_pairs(data, "golden.npz")


def test_pickled_objects_are_refused() -> None:
    data = pack_arrays(texts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BadInput, match=r"golden\.npz"):
        unpack_arrays(data, "golden.npz", "texts")


@pytest.mark.parametrize(("height", "width"), [(6, 9), (8, 6)])
def test_canvases_of_another_size_are_refused(height: int, width: int) -> None:
    with pytest.raises(BadInput, match="expected uint8 canvases"):
        unpack_canvases(pack_canvases(canvases([1])), "golden.npz", height, width)


@pytest.mark.parametrize(
    "wrong",
    [{"counts": np.array([1, 1])}, {"counts": np.array([3, -1])}, {"counts": np.array([2.0, 1.0])}, {"counts": np.array(3)},
     {"scores": np.zeros(2)}, {"classes": np.zeros((3, 1), int)}, {"boxes": np.zeros((3, 5))}, {"boxes": np.array(1.0)}],
)  # fmt: skip
def test_boxes_that_do_not_add_up_are_refused(wrong: dict[str, np.ndarray]) -> None:
    images = np.zeros((2, 6, 8, 3), np.uint8)
    right = {"counts": np.array([2, 1]), "boxes": np.zeros((3, 4)), "scores": np.zeros(3), "classes": np.zeros(3, int)}
    assert len(unpack_canvases(pack_arrays(images=images, **right), "golden.npz", 6, 8).found) == 2
    with pytest.raises(BadInput, match="add up"):
        unpack_canvases(pack_arrays(images=images, **right | wrong), "golden.npz", 6, 8)


def test_pairs_come_back() -> None:
    small, large = np.zeros((2, 3, 4), np.uint8), np.ones((2, 6, 8), np.uint8)
    again = unpack_pairs(pack_pairs(GoldenPairs(small, large, ["AB", ""], [True, False])), "golden.npz")
    assert (again.texts, again.sure) == (["AB", ""], [True, False])
    assert np.array_equal(again.small, small)
    assert np.array_equal(again.large, large)


def test_pairs_that_are_not_as_many_are_refused() -> None:
    small, large = np.zeros((2, 3, 4), np.uint8), np.ones((1, 6, 8), np.uint8)
    with pytest.raises(BadInput, match="as many of each"):
        unpack_pairs(pack_pairs(GoldenPairs(small, large, ["AB", ""], [True, False])), "golden.npz")


def test_a_file_that_unpacks_to_gigabytes_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_module, "MAX_GOLDEN_BYTES", 1_000_000)
    with pytest.raises(BadInput, match="unpacks"):
        unpack_canvases(bomb(images=2_000_000), "golden.npz", 6, 8)
    with pytest.raises(BadInput, match="unpacks"):
        unpack_pairs(bomb(small=600_000, large=600_000), "golden.npz")
