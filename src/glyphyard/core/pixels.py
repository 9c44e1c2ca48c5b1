"""The pixel contract: the one way from any image to the array a network sees, in training and on the device."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.errors import BadInput, TooManyPixels
from glyphyard.core.image_ends import missing_end
from glyphyard.core.image_header import header_size

MAX_PIXELS = 32_000_000  # a crop is never this large; decoding a hostile one would take gigabytes
INTERPOLATIONS = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


@dataclass(frozen=True)
class PixelContract:
    """What the model's input is: size in pixels, channels, resize rule; values are uint8 / 255 in [0, 1]."""

    height: int = 32
    width: int = 128
    channels: int = 1
    interpolation: str = "linear"

    def to_json(self) -> dict[str, Any]:
        """Return the contract as it stands in bundle.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any, where: str = "pixels") -> PixelContract:
        """Read a contract back; anything it does not know, or a size that makes no sense, is a `BadInput` naming `where`."""
        sizes = {"height": 4096, "width": 4096, "channels": 3}
        known = isinstance(value, dict) and set(value) == {*sizes, "interpolation"} and value["interpolation"] in INTERPOLATIONS
        fits = known and all(type(value[key]) is int and 1 <= value[key] <= most for key, most in sizes.items())
        if not fits or value["channels"] == 2:
            expected = f"height, width, channels (1 or 3) and interpolation ({', '.join(INTERPOLATIONS)})"
            raise BadInput(where, f"expected {expected}, found {value}")
        return cls(**value)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Bring a grey, BGR or BGRA uint8 image of any size to (height, width) or (height, width, 3) uint8."""
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
            raise BadInput("image", f"expected a non-empty uint8 array (H,W) or (H,W,C), found {image.dtype} {image.shape}")
        image = _to_channels(image, self.channels)
        return cv2.resize(image, (self.width, self.height), interpolation=INTERPOLATIONS[self.interpolation])

    def batch(self, images: list[np.ndarray]) -> np.ndarray:
        """Stack resized images into the network's input (N, channels, height, width), float32 in [0, 1]."""
        return np.divide(self.stack(images), np.float32(255), dtype=np.float32)

    def stack(self, images: list[np.ndarray]) -> np.ndarray:
        """Stack resized images into (N, channels, height, width) as they are, uint8."""
        stacked = images[0][None] if len(images) == 1 else np.stack(images)
        return np.ascontiguousarray(stacked[:, None] if self.channels == 1 else stacked.transpose(0, 3, 1, 2))


def _to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    found = 1 if image.ndim == 2 else image.shape[2]
    image = image[:, :, 0] if image.ndim == 3 and found == 1 else image
    if found == 4:
        image, found = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR), 3
    if found not in (1, 3):
        raise BadInput("image", f"expected 1, 3 or 4 channels, found {found}")
    if found == channels:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_GRAY2BGR)


def decode_image(data: bytes, name: str = "image", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode image bytes to BGR or grey uint8; unreadable, truncated or oversized ones are a `BadInput` naming `name`."""
    size = header_size(data)
    if size and size[0] * size[1] > max_pixels:
        raise TooManyPixels(name, f"{size[0]}x{size[1]} is more than {max_pixels / 1e6:g} megapixels", "crop or scale it down")
    if lack := missing_end(data):
        raise BadInput(name, lack, "copy it again or leave it out")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise BadInput(name, "expected an image, found bytes that cannot be decoded", "copy it again or leave it out")
    return image


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read and decode one image file; see `decode_image`."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(str(path), f"cannot read this image ({error.strerror})") from error
    return decode_image(data, str(path), max_pixels)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image; a disk that refuses is an `OSError`, which cv2.imwrite keeps to itself or leaves half an image behind."""
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def pair_identity(identity: str, low: bytes | None) -> str:
    """Return the hash that a picture goes by together with its low-resolution side, if that was made once and for all.

    `identity`: the picture's own hash; `low`: the side's pixels. Who enlarges other low sides is judged on another set.
    """
    return identity if low is None else hashlib.sha256(identity.encode() + low).hexdigest()
