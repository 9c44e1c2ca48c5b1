"""A super-resolution bundle on the device: small crops in, large crops and their texts out.

The folder holds `generator.onnx`, a whole bundle of the recogniser in `recogniser/`, golden crops, and bundle.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import Record
from glyphyard.edge.bundle import read_checked
from glyphyard.edge.golden import EXPORT_AGAIN, pack_arrays, unpack_arrays
from glyphyard.edge.images import Image, load_crop
from glyphyard.edge.language import GREEDY
from glyphyard.edge.manifest import GOLDEN, MANIFEST, read_described
from glyphyard.edge.recognizer import MAX_BATCH, Recognizer
from glyphyard.edge.session import CPU, OnnxSession

TASK, GENERATOR, RECOGNISER = "super_resolution", "generator.onnx", "recogniser"
MOST_ENLARGED = 64  # crops of one call to the generator, which keeps whole images in many channels
CLOSE_GREYS = 2  # a golden crop may differ by as much on another processor


@dataclass(frozen=True)
class RestorerManifest(Record):
    """bundle.json of a super-resolution bundle; `low_pixels` is what goes in, `pixels` what comes out and is read.

    `files` maps each other file of the folder to its SHA-256. `export_cost`: how many words of the held-out set the trained
    form of the recogniser reads right, and the shipped one (see export.super_resolution). `export_held_out`: the
    `content_sha256` of that set, and `groups`: [words lost by the shipped form, crops, how many such plates].
    """

    schema_version: int
    name: str
    task: str
    scale: int
    low_pixels: dict[str, Any]
    pixels: dict[str, Any]
    files: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)
    export_cost: dict[str, float] = field(default_factory=dict)
    export_held_out: dict[str, Any] = field(default_factory=dict)


class Restorer:
    """Enlarges and reads crops with a super-resolution bundle; holds no lock and no state, so any number of threads may share one.

    Arguments are those of `Recognizer`; `replay_golden` enlarges and reads the bundle's golden crops first.
    """

    most_waiting = MAX_BATCH

    def __init__(
        self,
        bundle: Path | str,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        replay_golden: bool = True,
        decode: str = GREEDY,
    ) -> None:
        self.folder = Path(bundle).resolve()
        self.manifest = read_restorer_manifest(self.folder / MANIFEST)
        self.sha256 = sha256_file(self.folder / MANIFEST)
        for name, expected in self.manifest.files.items():
            read_checked(self.folder, name, expected)
        self.low = PixelContract.from_json(self.manifest.low_pixels, f"{self.folder / MANIFEST}.low_pixels")
        self.pixels = PixelContract.from_json(self.manifest.pixels, f"{self.folder / MANIFEST}.pixels")
        self._check_scale()
        model = read_checked(self.folder, GENERATOR, self.manifest.files[GENERATOR])
        self._session = OnnxSession(model, str(self.folder / GENERATOR), providers or CPU, threads or 1)
        self.recogniser = Recognizer(self.folder / RECOGNISER, providers, threads, replay_golden=False, decode=decode)
        if replay_golden:
            self.replay()

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, of the generator and of the recogniser alike, the first one first."""
        return list(self._session.providers)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Return a decoded image as the generator sees it; `read` does this by itself."""
        return self.low.resize(image)

    def restore(self, images: Iterable[Image], batch_size: int = 64) -> list[np.ndarray]:
        """Return each crop (any size, grey or BGR) at high resolution, uint8 (H,W) or (H,W,3); enlarges `batch_size` at a time."""
        return [large for made in self._made(images, batch_size) for large in made]

    def enlarge(self, image: Image) -> np.ndarray:
        """Return a crop enlarged bicubically, without the generator: what it is compared with."""
        small = self._load(image, "image")
        return np.asarray(cv2.resize(small, (self.pixels.width, self.pixels.height), interpolation=cv2.INTER_CUBIC))

    def read(self, image: Image) -> Reading:
        """Enlarge and read one crop."""
        return self.read_many([image])[0]

    def read_many(self, images: Iterable[Image], batch_size: int = 64) -> list[Reading]:
        """Enlarge and read many crops in order."""
        return list(self.stream(images, batch_size))

    def stream(self, images: Iterable[Image], batch_size: int = 64) -> Iterator[Reading]:
        """Yield the readings of an iterable of crops in order, holding at most `batch_size` of them."""
        for made in self._made(images, batch_size):
            yield from self.recogniser.read_many(made, len(made))

    def replay(self) -> int:
        """Enlarge and read the golden crops and return how many; the first that comes out differently is a `BadInput`.

        The recogniser reads golden crops of its own before.
        """
        self.recogniser.replay()
        golden = unpack_pairs(read_checked(self.folder, GOLDEN, self.manifest.files[GOLDEN]), str(self.folder / GOLDEN))
        made = self._restored(list(golden.small))
        readings = self.recogniser.read_many(made)
        remedy = "this device or provider does not run the model faithfully"
        for i, (image, reading) in enumerate(zip(made, readings, strict=True)):
            where = f"{self.folder / GOLDEN}, crop {i}"
            if image.shape != golden.large[i].shape:
                raise BadInput(where, f"is {image.shape} here, expected {golden.large[i].shape}", EXPORT_AGAIN)
            worst = int(np.abs(image.astype(int) - golden.large[i].astype(int)).max())
            if worst > CLOSE_GREYS:
                raise BadInput(where, f"differs by {worst} grey levels, at most {CLOSE_GREYS} are allowed", remedy)
            if golden.sure[i] and reading.text != golden.texts[i]:
                raise BadInput(where, f"reads {reading.text!r} here, expected {golden.texts[i]!r}", remedy)
        return len(golden.texts)

    def _check_scale(self) -> None:
        low, scale = self.low, self.manifest.scale
        if (low.height * scale, low.width * scale) != (self.pixels.height, self.pixels.width):
            sizes = f"{low.height}x{low.width} and {self.pixels.height}x{self.pixels.width}"
            raise BadInput(f"{self.folder / MANIFEST}.scale", f"{scale} does not fit its sizes {sizes}", EXPORT_AGAIN)

    def _load(self, image: Image, name: str) -> np.ndarray:
        return self.low.resize(load_crop(image, name))

    def _made(self, images: Iterable[Image], batch_size: int) -> Iterator[list[np.ndarray]]:
        if batch_size < 1:
            raise BadInput("batch_size", f"expected at least 1, found {batch_size}")
        small = (self._load(image, f"image {i}") for i, image in enumerate(images))
        while batch := list(islice(small, min(batch_size, MOST_ENLARGED))):
            yield self._restored(batch)

    def _restored(self, small: list[np.ndarray]) -> list[np.ndarray]:
        return to_images(self._session.run(self.low.batch(small)))


def to_images(batch_NCHW: np.ndarray) -> list[np.ndarray]:
    """Turn (N,C,H,W) float in [0, 1] into uint8 images (H,W) or (H,W,3)."""
    whole = np.clip(np.rint(batch_NCHW * 255), 0, 255).astype(np.uint8)
    return list(whole[:, 0] if whole.shape[1] == 1 else np.ascontiguousarray(whole.transpose(0, 2, 3, 1)))


def read_restorer_manifest(path: Path) -> RestorerManifest:
    """Read bundle.json; another task, another schema version or a file that has to be there and is not named is a `BadInput`."""
    manifest = RestorerManifest.from_json(read_described(path, TASK), str(path))
    needed = {GENERATOR, GOLDEN, f"{RECOGNISER}/{MANIFEST}"}
    if lost := sorted(needed - set(manifest.files)):
        raise BadInput(str(path), f"names no {' and no '.join(lost)}", EXPORT_AGAIN)
    return manifest


@dataclass(frozen=True)
class GoldenPairs:
    """Golden crops: small (N,h,w[,C]) and large (N,H,W[,C]) uint8, texts, and which readings are no toss of a coin."""

    small: np.ndarray
    large: np.ndarray
    texts: list[str]
    sure: list[bool]


def pack_pairs(golden: GoldenPairs) -> bytes:
    """Return golden.npz as bytes."""
    texts = np.array(golden.texts, dtype=np.str_)
    return pack_arrays(small=golden.small, large=golden.large, texts=texts, sure=np.array(golden.sure))


def unpack_pairs(data: bytes, where: str) -> GoldenPairs:
    """Read golden.npz back; anything else is a `BadInput`."""
    small, large, texts, sure = unpack_arrays(data, where, "small", "large", "texts", "sure")
    if not len(small) == len(large) == len(texts) == len(sure):
        found = f"{len(small)} small and {len(large)} large crops, {len(texts)} texts"
        raise BadInput(where, f"expected as many of each, found {found}", EXPORT_AGAIN)
    return GoldenPairs(small, large, [str(text) for text in texts], [bool(s) for s in sure])
