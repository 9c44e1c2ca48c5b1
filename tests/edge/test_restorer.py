from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from glyphyard.core.errors import BadInput
from glyphyard.edge import restorer as module
from glyphyard.edge.restorer import Restorer


@pytest.fixture(scope="module")
def restorer(restorer_bundle: Path) -> Restorer:
    return Restorer(restorer_bundle)


def crops(count: int) -> list[np.ndarray]:
    dice = np.random.default_rng(3)
    return [dice.integers(0, 256, (20 + i % 5, 60, 3), dtype=np.uint8) for i in range(count)]


def test_every_form_of_an_image_is_enlarged_the_same(restorer: Restorer, tmp_path: Path) -> None:
    image = crops(1)[0]
    data = cv2.imencode(".png", image)[1].tobytes()
    (tmp_path / "crop.png").write_bytes(data)
    forms = [image, data, bytearray(data), memoryview(data), tmp_path / "crop.png", str(tmp_path / "crop.png")]
    first, *others = restorer.restore(forms)
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("image", [None, 3, object()])
def test_what_no_camera_gives_is_named(restorer: Restorer, image: object) -> None:
    with pytest.raises(BadInput, match=type(image).__name__):
        restorer.read(image)  # type: ignore[arg-type]


def test_what_is_no_crop_is_refused(restorer: Restorer) -> None:
    with pytest.raises(BadInput, match="no crop"):
        restorer.read(np.zeros((1, 40_000), np.uint8))


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_of_nothing_is_refused(restorer: Restorer, batch_size: int) -> None:
    with pytest.raises(BadInput, match="batch_size"):
        restorer.read_many(crops(1), batch_size)
    with pytest.raises(BadInput, match="batch_size"):
        restorer.restore(crops(1), batch_size)


def test_an_unreadable_crop_is_named_by_its_place_among_all(restorer: Restorer) -> None:
    with pytest.raises(BadInput, match="image 3"):
        restorer.read_many([*crops(3), b"no image"], batch_size=2)


def test_memory_is_bounded_whatever_batch_is_asked_for(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, sizes, inner = restorer.read_many(crops(5)), [], restorer._restored
    monkeypatch.setattr(module, "MOST_ENLARGED", 2)
    monkeypatch.setattr(restorer, "_restored", lambda small: sizes.append(len(small)) or inner(small))
    assert restorer.read_many(crops(5), batch_size=1_000_000) == expected
    assert sizes == [2, 2, 1]
