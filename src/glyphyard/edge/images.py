"""What a camera's program hands over as an image, decoded."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import MAX_PIXELS, decode_image, read_image

Image = np.ndarray | os.PathLike[str] | str | bytes | bytearray | memoryview
MAX_SIDE = 16_384  # pixels; no crop is as long, and OpenCV's resize gives up at twice that


def load_image(image: Image, name: str) -> np.ndarray:
    """Return a path's or encoded bytes' image, BGR or grey uint8; an array as it is. Anything else is a `BadInput` naming `name`."""
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), name)
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if not isinstance(image, np.ndarray):
        problem = f"expected a path, encoded bytes or a uint8 array, found {type(image).__name__}"
        raise BadInput(name, problem, "cv2.imread gives None for a file that it cannot read" if image is None else "")
    return image


def load_crop(image: Image, name: str) -> np.ndarray:
    """Return an image as `load_image` does; a page that was not cut is a `BadInput`, before it costs anything."""
    crop = load_image(image, name)
    if crop.ndim >= 2 and (max(crop.shape[:2]) > MAX_SIDE or crop.shape[0] * crop.shape[1] > MAX_PIXELS):
        problem = f"{crop.shape[1]}x{crop.shape[0]} is no crop (at most {MAX_SIDE} a side, {MAX_PIXELS / 1e6:g} megapixels)"
        raise BadInput(name, problem, "crop it first")
    return crop
