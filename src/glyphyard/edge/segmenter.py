"""A segmentation bundle on the device: a plate in, its characters out, each with box, mask, score and class.

The folder holds `model.onnx` (Mask R-CNN on one canvas at a time, for ONNX Runtime only), golden canvases, and bundle.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from glyphyard.core.boxes import Detections, box_iou
from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_file
from glyphyard.core.letterbox import Letterbox
from glyphyard.core.masks import paste_mask
from glyphyard.core.plate_reading import read_plate
from glyphyard.core.records import Record
from glyphyard.edge.bundle import read_checked
from glyphyard.edge.golden import EXPORT_AGAIN, unpack_canvases
from glyphyard.edge.images import Image, load_image
from glyphyard.edge.language import GREEDY
from glyphyard.edge.manifest import GOLDEN, MANIFEST, MODEL, read_described
from glyphyard.edge.session import CPU, OnnxSession

TASK, RUNTIME = "segmentation", "onnxruntime"
INPUT, OUTPUTS = "canvas", ("boxes", "labels", "scores", "masks")
SAME_BOX = 0.9  # overlap of a golden character with the one that is found here
CLOSE_SCORE = 0.02
UNKNOWN = "?"  # what a character reads where classes do not tell


@dataclass(frozen=True)
class SegmenterManifest(Record):
    """bundle.json of a segmentation bundle; `classes` by number, `reads` whether they are characters.

    `pixels` is the Letterbox that images are laid onto, `confidence` the least of a character that is believed, chosen on
    validation. `files` maps each other file of the folder to its SHA-256.
    """

    schema_version: int
    name: str
    task: str
    runtime: str
    classes: list[str]
    reads: bool
    pixels: dict[str, Any]
    confidence: float
    files: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)


class Segmenter:
    """Finds and reads characters; holds no lock and no state, so any number of threads may share one.

    Arguments are those of `Recognizer`; `decode` knows "greedy" only. `replay_golden` finds the golden characters first.
    """

    most_waiting = 1  # plates are looked at one by one and wait in their own size, which may be large

    def __init__(
        self,
        bundle: Path | str,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        replay_golden: bool = True,
        decode: str = GREEDY,
    ) -> None:
        if decode != GREEDY:
            raise BadInput(f"decode {decode!r}", "characters that are found one by one are not searched", "leave it out")
        self.folder = Path(bundle).resolve()
        self.manifest = read_segmenter_manifest(self.folder / MANIFEST)
        self.sha256 = sha256_file(self.folder / MANIFEST)
        self.canvas = Letterbox.from_json(self.manifest.pixels, f"{self.folder / MANIFEST}.pixels")
        self.classes = tuple(self.manifest.classes)
        for name, expected in self.manifest.files.items():
            read_checked(self.folder, name, expected)
        model = read_checked(self.folder, MODEL, self.manifest.files[MODEL])
        self._session = open_model(model, str(self.folder / MODEL), providers or CPU, threads or 1)
        if replay_golden:
            self.replay()

    @property
    def providers(self) -> list[str]:
        """The execution providers in use, the first one first."""
        return list(self._session.providers)

    def find(self, image: Image) -> Detections:
        """Return the characters of a plate (path, encoded bytes, or uint8 grey or BGR(A)) in its pixels, with masks, the surest first.

        All of them, however unsure: `read` believes those of `manifest.confidence` and more.
        """
        picture = load_image(image, "image")
        canvas, place = self.canvas.fit(picture)
        found, maps = find_on_canvas(self._session, self.canvas, canvas)
        boxes = place.to_image(found.boxes)
        height, width = picture.shape[:2]
        masks = np.array([paste_mask(m, box, height, width) for m, box in zip(maps, boxes, strict=True)], bool)
        return Detections(boxes, found.scores, found.classes, masks.reshape(-1, height, width))

    def read_found(self, found: Detections) -> Reading:
        """Return the text of what was found, row after row; a character of a bundle that only finds reads `?`."""
        classes = self.classes if self.manifest.reads else (UNKNOWN,)
        return read_plate(found, classes, self.manifest.confidence)

    def read(self, image: Image) -> Reading:
        """Find and read the characters of one plate."""
        canvas, _ = self.canvas.fit(load_image(image, "image"))
        return self.read_found(find_on_canvas(self._session, self.canvas, canvas)[0])

    def read_many(self, images: Iterable[Image], batch_size: int = 64) -> list[Reading]:
        """Read many plates in order."""
        return list(self.stream(images, batch_size))

    def stream(self, images: Iterable[Image], batch_size: int = 64) -> Iterator[Reading]:
        """Yield the readings of an iterable of plates in order, one plate at a time whatever `batch_size` is."""
        del batch_size
        yield from map(self.read, images)

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Return a decoded image as it is kept in waiting: as it is, for its own size is needed to place what is found."""
        return image

    def replay(self) -> int:
        """Find the golden characters and return how many plates they stand on; the first that is missing is a `BadInput`."""
        packed = read_checked(self.folder, GOLDEN, self.manifest.files[GOLDEN])
        golden = unpack_canvases(packed, str(self.folder / GOLDEN), self.canvas.height, self.canvas.width)
        for i, (canvas, expected) in enumerate(zip(golden.images, golden.found, strict=True)):
            found, _ = find_on_canvas(self._session, self.canvas, canvas)
            if missing := missing_of(expected, found, CLOSE_SCORE):
                remedy = "this device or provider does not run the model faithfully"
                raise BadInput(f"{self.folder / GOLDEN}, plate {i}", missing, remedy)
        return len(golden.found)


def open_model(model: bytes, where: str, providers: Sequence[str] = CPU, threads: int = 1) -> OnnxSession:
    """Open the network; one that does not take a canvas and give boxes, labels, scores and masks is a `BadInput`."""
    session = OnnxSession(model, where, providers, threads)
    if session.names() != ([INPUT], list(OUTPUTS)):
        raise BadInput(where, f"expected {INPUT} → {', '.join(OUTPUTS)}, found {session.names()}", EXPORT_AGAIN)
    return session


def find_on_canvas(session: OnnxSession, letterbox: Letterbox, canvas_HW3: np.ndarray) -> tuple[Detections, np.ndarray]:
    """Return what the network finds on a canvas (RGB uint8), without masks, and the maps (N,M,M) that fill its boxes."""
    out = session.run_all({INPUT: letterbox.batch([canvas_HW3])})
    scores = out["scores"].astype(np.float64)
    there = scores > 0  # the last one only stands there so that something does: see nn.maskrcnn_graph
    boxes, classes = out["boxes"].astype(np.float64)[there], out["labels"].astype(np.int64)[there] - 1
    return Detections(boxes, scores[there], classes), out["masks"][there]


def missing_of(expected: Detections, found: Detections, tolerance: float) -> str:
    """Say which of the `expected` characters is not among those found in the same place with the same class and score; "" if all are."""
    for box, score, label in zip(expected.boxes, expected.scores, expected.classes, strict=True):
        same = found.take(found.classes == label)
        overlap = box_iou(box[None], same.boxes)[0]
        best = int(overlap.argmax()) if len(overlap) else -1
        where = ", ".join(f"{v:.0f}" for v in box)
        if best < 0 or overlap[best] < SAME_BOX:
            return f"the character at [{where}] of class {label} is not found"
        if abs(same.scores[best] - score) > tolerance:
            return f"the character at [{where}] has score {same.scores[best]:.4f}, expected {score:.4f}"
    return ""


def read_segmenter_manifest(path: Path) -> SegmenterManifest:
    """Read bundle.json; another task, runtime or schema version, or a file that has to be there and is not named, is a `BadInput`."""
    manifest = SegmenterManifest.from_json(read_described(path, TASK), str(path))
    if manifest.runtime != RUNTIME:
        raise BadInput(f"{path}.runtime", f"expected {RUNTIME}, found {manifest.runtime!r}", "use the Glyphyard that wrote it")
    if lost := sorted({MODEL, GOLDEN} - set(manifest.files)):
        raise BadInput(str(path), f"names no {' and no '.join(lost)}", EXPORT_AGAIN)
    if not manifest.classes or not 0 <= manifest.confidence <= 1:
        problem = f"expected classes and a confidence in 0 to 1, found {manifest.classes} and {manifest.confidence}"
        raise BadInput(str(path), problem, EXPORT_AGAIN)
    return manifest
