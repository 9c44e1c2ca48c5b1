"""The one reader of pixels and strings: the same code in evaluation, in `predict` and on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from glyphyard.core.ctc import Reading, greedy_decode
from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import decode_image, read_image
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.manifest import GOLDEN
from glyphyard.edge.session import CPU, OnnxSession

Image = np.ndarray | Path | str | bytes
REPLAY_BATCH = 64


class Recognizer:
    """Reads crops with a bundle; holds no lock and no state, so any number of threads may share one.

    `providers`: ONNX Runtime's, the first has to work (CPU when absent). `threads`: cores that one call may use (1 when
    absent: callers bring their own threads, and one crop is too small to share out). `replay_golden`: read the bundle's
    golden crops first; a string that differs is a `BadInput`.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        replay_golden: bool = True,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._session = OnnxSession.of(self.bundle, providers or CPU, threads or 1)
        if replay_golden:
            self.replay()

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, the first one first."""
        return self._session.providers

    def read(self, image: Image) -> Reading:
        """Read one crop: a path, encoded bytes, or a uint8 array (grey or BGR, any size)."""
        return self._read_resized([self._load(image, "image")])[0]

    def read_many(self, images: Iterable[Image], batch_size: int = 64) -> list[Reading]:
        """Read many crops in order; see `stream`."""
        return list(self.stream(images, batch_size))

    def stream(self, images: Iterable[Image], batch_size: int = 64) -> Iterator[Reading]:
        """Yield the readings of an iterable of crops in order, holding at most `batch_size` resized crops at a time."""
        if batch_size < 1:
            raise BadInput("batch_size", f"expected at least 1, found {batch_size}")
        resized = (self._load(image, f"image {i}") for i, image in enumerate(images))
        while batch := list(islice(resized, batch_size)):
            yield from self._read_resized(batch)

    def replay(self) -> int:
        """Read the bundle's golden crops and return how many; the first that reads differently is a `BadInput`."""
        golden = self.bundle.golden()
        for start in range(0, len(golden.texts), REPLAY_BATCH):
            readings = self._read_resized(list(golden.images[start : start + REPLAY_BATCH]))
            for i, (reading, expected) in enumerate(zip(readings, golden.texts[start:], strict=False), start):
                if reading.text != expected:
                    where = f"{self.bundle.folder / GOLDEN}, crop {i}"
                    remedy = "this device or provider does not run the model faithfully"
                    raise BadInput(where, f"reads {reading.text!r} here, expected {expected!r}", remedy)
        return len(golden.texts)

    def _load(self, image: Image, name: str) -> np.ndarray:
        if isinstance(image, bytes):
            image = decode_image(image, name)
        elif not isinstance(image, np.ndarray):
            image = read_image(Path(image))
        return self.bundle.pixels.resize(image)

    def _read_resized(self, images: list[np.ndarray]) -> list[Reading]:
        return greedy_decode(self._session.run(self.bundle.pixels.batch(images)), self.bundle.alphabet)
