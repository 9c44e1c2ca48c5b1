"""A detection bundle on the device: pages in, boxes out, in pixels of the page.

The folder holds `model.onnx` (the raw YOLO head), golden canvases with the boxes found on them, and bundle.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.boxes import Detections, box_iou
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.core.letterbox import Letterbox, Placement
from glyphyard.core.records import Record
from glyphyard.core.yolo import BoxRule, decode_yolo
from glyphyard.edge.bundle import read_checked
from glyphyard.edge.golden import EXPORT_AGAIN, unpack_canvases
from glyphyard.edge.images import Image, load_image
from glyphyard.edge.manifest import GOLDEN, MANIFEST, MODEL, read_described
from glyphyard.edge.session import CPU, OnnxSession, Session

TASK = "detection"
BATCH = 4  # canvases of one call to the model: at 640 px 20 MB of input, some hundred inside the network
SAME = 0.95  # overlap of a golden box with the one that is found here
CLOSE_SCORE = 0.02  # a golden box's score may differ by as much on another processor


@dataclass(frozen=True)
class DetectorManifest(Record):
    """bundle.json of a detection bundle: the canvas (`pixels`), the classes, and which boxes count.

    `confidence` was chosen on the validation split; `files` maps each other file of the folder to its SHA-256.
    """

    schema_version: int
    name: str
    task: str
    pixels: dict[str, Any]
    classes: list[str]
    confidence: float
    nms: float
    most: int
    files: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)


class Detector:
    """Finds boxes on pages with a bundle; holds no lock and no state, so any number of threads may share one.

    `providers`: ONNX Runtime's, the first has to work (CPU when absent). `threads`: cores that one call may use (1 when
    absent). `replay_golden`: look at the bundle's golden canvases first; boxes that differ are a `BadInput`. `session`: what
    runs the model instead of ONNX Runtime.
    """

    def __init__(
        self,
        bundle: Path | str,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        replay_golden: bool = True,
        *,
        session: Session | None = None,
    ) -> None:
        self.folder = Path(bundle).resolve()
        self.manifest = read_detector_manifest(self.folder / MANIFEST)
        self.sha256 = sha256_file(self.folder / MANIFEST)
        model, self._golden = (read_checked(self.folder, name, self.manifest.files[name]) for name in (MODEL, GOLDEN))
        self.pixels = Letterbox.from_json(self.manifest.pixels, f"{self.folder / MANIFEST}.pixels")
        self.classes = list(self.manifest.classes)
        self.rule = BoxRule(self.manifest.confidence, self.manifest.nms, self.manifest.most)
        self._session = session or OnnxSession(model, str(self.folder / MODEL), providers or CPU, threads or 1)
        if replay_golden:
            self.replay()

    def find(self, image: Image, confidence: float | None = None) -> Detections:
        """Return what is found on one page: a path, encoded bytes, or a uint8 array, grey or BGR(A); see `find_many`."""
        return next(self.find_many([image], confidence=confidence))

    def find_many(
        self, images: Iterable[Image], batch_size: int = BATCH, confidence: float | None = None
    ) -> Iterator[Detections]:
        """Yield what is found on each page, in order and in its own pixels, the surest box first.

        `confidence` replaces the bundle's own. At most `batch_size` canvases are in memory.
        """
        if batch_size < 1:
            raise BadInput("batch_size", f"expected at least 1, found {batch_size}")
        rule = self.rule if confidence is None else replace(self.rule, confidence=confidence)
        laid = (self.pixels.fit(load_image(image, f"image {i}")) for i, image in enumerate(images))
        while batch := list(islice(laid, batch_size)):
            for found, (_, place) in zip(self.find_on_canvases([c for c, _ in batch], rule), batch, strict=True):
                yield _on_page(found, place)

    def find_on_canvases(self, canvases: Sequence[np.ndarray], rule: BoxRule | None = None) -> list[Detections]:
        """Return what is found on canvases (H,W,3) RGB uint8, in their pixels; `rule` replaces the bundle's."""
        output = self._session.run(self.pixels.batch(list(canvases)))
        return decode_yolo(output, len(self.classes), rule or self.rule)

    def replay(self) -> int:
        """Look at the golden canvases and return how many; the first on which other boxes are found is a `BadInput`."""
        golden = unpack_canvases(self._golden, str(self.folder / GOLDEN), self.pixels.height, self.pixels.width)
        for i, (canvas, expected) in enumerate(zip(golden.images, golden.found, strict=True)):
            found = self.find_on_canvases([canvas], replace(self.rule, confidence=max(self.rule.confidence - CLOSE_SCORE, 1e-4)))[
                0
            ]
            if missing := unmatched(expected, found, self.rule.confidence + CLOSE_SCORE):
                where = f"{self.folder / GOLDEN}, canvas {i}"
                problem = f"{missing} of {len(expected)} boxes are not found here"
                raise BadInput(where, problem, "this device or provider does not run the model faithfully")
        return len(golden.found)


def unmatched(expected: Detections, found: Detections, sure: float) -> int:
    """Return how many of the `expected` boxes of at least score `sure` are not among the found ones, of the same class."""
    certain = expected.take(expected.scores >= sure)
    if not len(certain):
        return 0
    overlap = box_iou(certain.boxes, found.boxes) * (certain.classes[:, None] == found.classes[None, :])
    return int((overlap.max(1, initial=0.0) < SAME).sum())


def _on_page(found: Detections, place: Placement) -> Detections:
    return replace(found, boxes=place.to_image(found.boxes))


def read_detector_manifest(path: Path) -> DetectorManifest:
    """Read bundle.json; another task or schema version, or figures that make no sense, are a `BadInput`."""
    manifest = DetectorManifest.from_json(read_described(path, TASK), str(path))
    if lost := sorted({MODEL, GOLDEN} - set(manifest.files)):
        raise BadInput(str(path), f"names no {' and no '.join(lost)}", EXPORT_AGAIN)
    shares = 0 <= manifest.confidence <= 1 and 0 <= manifest.nms <= 1
    if not shares or manifest.most < 1 or not manifest.classes:
        problem = "expected classes, confidence and nms between 0 and 1, and most of at least 1"
        raise BadInput(str(path), problem, EXPORT_AGAIN)
    return manifest


def page_of(image: Image) -> np.ndarray:
    """Return a page decoded: (H,W) or (H,W,3) uint8, BGR; for those who cut regions out of it."""
    found = load_image(image, "image")
    return cv2.cvtColor(found, cv2.COLOR_BGRA2BGR) if found.ndim == 3 and found.shape[2] == 4 else found
