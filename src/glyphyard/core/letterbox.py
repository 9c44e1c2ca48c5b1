"""The letterbox contract: any image onto a canvas of one size, without changing its shape, and boxes back again.

The rule is that of YOLOv5 and later (Jocher et al.): one scale for both sides, the rest is filled with grey, halves on
either side; RGB, values / 255. Training by ultralytics sees the same pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from glyphyard.core.errors import BadInput

GREY = 114
MAX_SIDE = 4096


@dataclass(frozen=True)
class Placement:
    """Where an image (width × height px) lies on its canvas: canvas x = x · scale_x + left, and the same for y."""

    width: int
    height: int
    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_canvas(self, boxes_N4: np.ndarray) -> np.ndarray:
        """Take boxes (…,4) from the image to the canvas."""
        return boxes_N4 * self._scale() + self._offset()

    def to_image(self, boxes_N4: np.ndarray) -> np.ndarray:
        """Take boxes (…,4) from the canvas to the image; what lies beyond its border is cut."""
        return np.clip((boxes_N4 - self._offset()) / self._scale(), 0, [self.width, self.height] * 2)

    def _scale(self) -> np.ndarray:
        return np.array([self.scale_x, self.scale_y] * 2)

    def _offset(self) -> np.ndarray:
        return np.array([self.left, self.top] * 2, np.float64)


@dataclass(frozen=True)
class Letterbox:
    """What a detector's input is: canvas size in pixels, the grey beside the image, and whether small images are enlarged."""

    height: int = 640
    width: int = 640
    grey: int = GREY
    enlarge: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the contract as it stands in bundle.json."""
        return {"kind": "letterbox", **asdict(self)}

    @classmethod
    def from_json(cls, value: Any, where: str = "pixels") -> Letterbox:
        """Read a contract back; anything else is a `BadInput` naming `where`."""
        sides = ("height", "width")
        known = isinstance(value, dict) and set(value) == {"kind", "grey", "enlarge", *sides} and value["kind"] == "letterbox"
        fits = known and all(type(value[side]) is int and 32 <= value[side] <= MAX_SIDE for side in sides)
        if not (fits and type(value["grey"]) is int and 0 <= value["grey"] <= 255 and type(value["enlarge"]) is bool):
            expected = f"kind letterbox, height and width (32 to {MAX_SIDE}), grey (0 to 255) and enlarge"
            raise BadInput(where, f"expected {expected}, found {value}")
        return cls(value["height"], value["width"], value["grey"], value["enlarge"])

    def place(self, width: int, height: int) -> Placement:
        """Say where an image of this size lies on the canvas."""
        scale = min(self.width / width, self.height / height)
        if not self.enlarge:
            scale = min(scale, 1.0)
        w, h = max(round(width * scale), 1), max(round(height * scale), 1)
        left, top = round((self.width - w) / 2 - 0.1), round((self.height - h) / 2 - 0.1)
        return Placement(width, height, w / width, h / height, left, top)

    def fit(self, image: np.ndarray) -> tuple[np.ndarray, Placement]:
        """Lay a grey, BGR or BGRA uint8 image onto the canvas (height, width, 3) RGB uint8, and say where it lies."""
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
            raise BadInput("image", f"expected a non-empty uint8 array (H,W) or (H,W,C), found {image.dtype} {image.shape}")
        place = self.place(image.shape[1], image.shape[0])
        size = (round(place.width * place.scale_x), round(place.height * place.scale_y))
        if size != (place.width, place.height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        canvas = np.full((self.height, self.width, 3), self.grey, np.uint8)
        canvas[place.top : place.top + size[1], place.left : place.left + size[0]] = _rgb(image)
        return canvas, place

    def batch(self, canvases: list[np.ndarray]) -> np.ndarray:
        """Stack canvases into the network's input (N, 3, height, width), float32 in [0, 1]."""
        return np.ascontiguousarray(np.stack(canvases).transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def _rgb(image: np.ndarray) -> np.ndarray:
    channels = 1 if image.ndim == 2 else image.shape[2]
    codes = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    if channels not in codes:
        raise BadInput("image", f"expected 1, 3 or 4 channels, found {channels}")
    return cv2.cvtColor(image, codes[channels])
