"""The one reader of pixels and strings: the same code in evaluation, in `predict` and on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from glyphyard.core.agreement import difference
from glyphyard.core.beam import grammar_decode
from glyphyard.core.ctc import Reading
from glyphyard.core.decoding import CTC, decoder_of, step_reader_of
from glyphyard.core.errors import BadInput
from glyphyard.core.grammar import Grammar, parse_grammar
from glyphyard.core.ngram_beam import BeamSpec, ngram_decode
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.images import Image, load_crop
from glyphyard.edge.language import GREEDY, ngram_of
from glyphyard.edge.manifest import CPU_MODEL, GOLDEN
from glyphyard.edge.session import CPU, CPU_TOLERANCE, OnnxSession, Session

Layout = str | Sequence[str]
REPLAY_BATCH = 64
MAX_BATCH = 1024  # crops of one call to the model: 16 MiB of input, some hundred inside the network


class Recognizer:
    """Reads crops with a bundle; holds no lock and no state, so any number of threads may share one.

    `providers`: ONNX Runtime's, the first has to work (CPU when absent). `threads`: cores that one call may use (1 when
    absent: callers bring their own threads, and one crop is too small to share out). `replay_golden`: read the bundle's
    golden crops first; a string that differs is a `BadInput`. `session`: what runs the model instead of ONNX Runtime, see
    `edge.engines.open_engine`. `layout`: the grammar of all texts, "LLLDDD|LLLDDDD" for one (L letter, D digit, ? either).
    `decode`: "greedy", or "beam" for the bundle's own n-gram of its training labels. Texts come with calibrated confidences
    where the bundle knows what its own are worth. `portable`: read with model.onnx on a CPU, too, where the bundle has a file
    for CPUs; `file` says which one reads.
    """

    most_waiting = MAX_BATCH

    def __init__(
        self,
        bundle: Bundle | Path | str,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        replay_golden: bool = True,
        *,
        session: Session | None = None,
        layout: Layout | None = None,
        decode: str = GREEDY,
        portable: bool = False,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._decode = decoder_of(self.bundle.manifest.decode.method)
        self._read_steps = step_reader_of(self.bundle.manifest.decode.method)
        self._grammar = self._grammar_of(layout)
        self._ngram = ngram_of(self.bundle, decode)
        if threads is not None and threads < 1:
            raise BadInput("threads", f"expected at least 1, found {threads}")
        if session is not None and (providers or threads):
            raise BadInput("session", "was opened with its own providers and threads", "give them to open_engine")
        self._session = session or OnnxSession.of(self.bundle, providers or CPU, threads or 1, portable=portable)
        if replay_golden:
            self.replay()

    @property
    def sha256(self) -> str:
        """The SHA-256 of bundle.json, which stands for every file of the bundle."""
        return self.bundle.sha256

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, the first one first."""
        return list(self._session.providers)

    @property
    def file(self) -> str | None:
        """The bundle's file that is run, model.onnx or model_pixels.onnx; None with an engine of another kind."""
        return self._session.file if isinstance(self._session, OnnxSession) else None

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Return a decoded image as the network sees it; `read` does this by itself."""
        return self.bundle.pixels.resize(image)

    def read(self, image: Image, *, rgb: bool = False, layout: Layout | None = None) -> Reading:
        """Read one crop: a path, encoded bytes, or a uint8 array of any size, grey or BGR(A) (`rgb`: RGB(A)).

        `layout` replaces the recogniser's own; with one, a reading that breaks it gives way to the likeliest that does not.
        """
        return self._read_resized([self._load(image, "image", rgb)], self._grammar_for(layout))[0]

    def read_many(
        self, images: Iterable[Image], batch_size: int = 64, *, rgb: bool = False, layout: Layout | None = None
    ) -> list[Reading]:
        """Read many crops in order; see `stream`."""
        return list(self.stream(images, batch_size, rgb=rgb, layout=layout))

    def stream(
        self, images: Iterable[Image], batch_size: int = 64, *, rgb: bool = False, layout: Layout | None = None
    ) -> Iterator[Reading]:
        """Yield the readings of an iterable of crops in order, holding at most `batch_size` resized crops at a time."""
        if batch_size < 1:
            raise BadInput("batch_size", f"expected at least 1, found {batch_size}")
        grammar = self._grammar_for(layout)
        size = min(batch_size, MAX_BATCH, self._session.max_batch or MAX_BATCH)
        resized = (self._load(image, f"image {i}", rgb) for i, image in enumerate(images))
        while batch := list(islice(resized, size)):
            yield from self._read_resized(batch, grammar)

    def replay(self) -> int:
        """Read the bundle's golden crops and return how many; the first that reads differently is a `BadInput`.

        With the file for CPUs the numbers are held against `CPU_TOLERANCE`, too.
        """
        golden = self.bundle.golden()
        for start in range(0, len(golden.texts), REPLAY_BATCH):
            rows = slice(start, start + REPLAY_BATCH)
            readings = self._greedy(list(golden.images[rows]))
            if self.file == CPU_MODEL:
                self._close_enough(golden.logits[:, rows], self._logits(list(golden.images[rows])), start)
            for i, (reading, expected) in enumerate(zip(readings, golden.texts[start:], strict=False), start):
                if reading.text != expected:
                    where = f"{self.bundle.folder / GOLDEN}, crop {i}"
                    remedy = "this device or provider does not run the model faithfully"
                    remedy += f"; portable=True leaves {CPU_MODEL} out" if self.file == CPU_MODEL else ""
                    raise BadInput(where, f"reads {reading.text!r} here, expected {expected!r}", remedy)
        return len(golden.texts)

    def _close_enough(self, expected_TNC: np.ndarray, found_TNC: np.ndarray, first: int) -> None:
        same = expected_TNC.shape == found_TNC.shape
        apart = difference(expected_TNC, found_TNC) if same else np.array([np.inf])
        if (worst := float(apart.max())) > CPU_TOLERANCE:
            where = f"{self.bundle.folder / GOLDEN}, crop {first + int(apart.argmax())}"
            problem = f"{CPU_MODEL} differs by {worst:.2g} here, at most {CPU_TOLERANCE:g} is allowed"
            raise BadInput(where, problem, "this device does not run it faithfully; portable=True leaves it out")

    def _load(self, image: Image, name: str, rgb: bool) -> np.ndarray:
        crop = load_crop(image, name)
        given = isinstance(image, np.ndarray)  # what is decoded here is BGR
        if rgb and given and crop.ndim == 3 and crop.shape[2] in (3, 4) and crop.dtype == np.uint8 and crop.size:
            crop = cv2.cvtColor(crop, cv2.COLOR_RGB2BGR if crop.shape[2] == 3 else cv2.COLOR_RGBA2BGR)
        return self.bundle.pixels.resize(crop)

    def _read_resized(self, images: list[np.ndarray], grammar: Grammar | None) -> list[Reading]:
        alphabet, manifest = self.bundle.alphabet, self.bundle.manifest
        if grammar is not None:
            readings = grammar_decode(self._logits(images), alphabet, grammar)
        elif self._ngram is not None:
            readings = ngram_decode(self._logits(images), alphabet, self._ngram, manifest.beam or BeamSpec())
        else:
            readings = self._greedy(images)
        return manifest.calibration.calibrated(readings) if manifest.calibration else readings

    def _greedy(self, images: list[np.ndarray]) -> list[Reading]:
        if isinstance(self._session, OnnxSession) and self._session.takes_pixels:
            return self._read_steps(*self._session.steps(self.bundle.pixels.stack(images)), self.bundle.alphabet)
        return self._decode(self._logits(images), self.bundle.alphabet)

    def _logits(self, images: list[np.ndarray]) -> np.ndarray:
        return self._session.run(self.bundle.pixels.batch(images))

    def _grammar_for(self, layout: Layout | None) -> Grammar | None:
        return self._grammar if layout is None else self._grammar_of(layout)

    def _grammar_of(self, layout: Layout | None) -> Grammar | None:
        if layout is None:
            return None
        if self.bundle.manifest.decode.method != CTC:
            problem = f"a layout needs a CTC reader, this bundle decodes by {self.bundle.manifest.decode.method}"
            raise BadInput("layout", problem, "leave it out")
        return parse_grammar(layout, self.bundle.alphabet)
