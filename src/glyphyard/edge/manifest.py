"""bundle.json: what a bundle's model takes, gives and reads, as a strict record."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glyphyard.core.alphabet import BLANK, Alphabet
from glyphyard.core.confidence import Calibration
from glyphyard.core.decoding import CTC, DECODERS
from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.ngram_beam import BeamSpec
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import Record
from glyphyard.edge.golden import EXPORT_AGAIN

SCHEMA_VERSION = 1
MAX_BEAM = 256
TASK = "recognition"
# What a bundle of another task is good for, said where somebody opens it by the wrong door.
OPENED_BY = {
    TASK: "edge.Recognizer opens it",
    "super_resolution": "edge.restorer.Restorer opens it; engines are built of its folder recogniser/",
    "segmentation": "edge.segmenter.Segmenter opens it; it runs in ONNX Runtime alone, without an engine",
    "detection": "edge.detector.Detector opens it; it runs in ONNX Runtime alone, without an engine",
}
MANIFEST, MODEL, GOLDEN, NGRAM = "bundle.json", "model.onnx", "golden.npz", "ngram.json"
# The same reader for ONNX Runtime on a CPU alone. It need not be there, and who does not know it reads with model.onnx: so does this
# version with the model_cpu.onnx of older bundles, which took floats.
# It takes pixels as they are (uint8) and says each step's best class and that one's probability, too, (time, batch, 1) both:
# in Python a NumPy call each, and at each of them eight threads would hand the interpreter's lock on.
CPU_MODEL = "model_pixels.onnx"
STEP_IDS, STEP_PROBABILITIES = "step_ids", "step_probabilities"


@dataclass(frozen=True)
class InputSpec(Record):
    """The network's input: `shape` is (batch, channels, height, width) with None for the batch."""

    name: str
    layout: str
    shape: list[Any]
    dtype: str
    range: list[float]


@dataclass(frozen=True)
class OutputSpec(Record):
    """The network's output: log-probabilities, (time, batch, classes)."""

    name: str
    layout: str
    values: str


@dataclass(frozen=True)
class DecodeSpec(Record):
    """How strings are read from the output."""

    method: str


@dataclass(frozen=True)
class BundleManifest(Record):
    """bundle.json; `files` maps each other file of the bundle to its SHA-256.

    `calibration`: what raw confidences are worth; `beam`: how the n-gram in ngram.json is used. Neither has to be there.
    """

    schema_version: int
    name: str
    task: str
    alphabet: str
    fold: dict[str, str]
    blank: int
    input: InputSpec
    pixels: dict[str, Any]
    output: OutputSpec
    decode: DecodeSpec
    files: dict[str, str]
    provenance: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    beam: BeamSpec | None = None


def describe(
    name: str,
    alphabet: Alphabet,
    pixels: PixelContract,
    files: dict[str, str],
    provenance: dict[str, Any],
    method: str = CTC,
    calibration: Calibration | None = None,
    beam: BeamSpec | None = None,
) -> BundleManifest:
    """Return the manifest of a bundle as this version of Glyphyard writes it; `method` is a key of core.decoding.DECODERS."""
    shape = [None, pixels.channels, pixels.height, pixels.width]
    return BundleManifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        task=TASK,
        alphabet=alphabet.characters,
        fold=dict(alphabet.fold),
        blank=BLANK,
        input=InputSpec("input", "NCHW", shape, "float32", [0.0, 1.0]),
        pixels=pixels.to_json(),
        output=OutputSpec("output", "TNC", "log_probabilities"),
        decode=DecodeSpec(method),
        files=files,
        provenance=provenance,
        calibration=calibration,
        beam=beam,
    )


def read_described(path: Path, task: str) -> Any:
    """Read the values of a bundle.json; another task, said before any key is looked at, or schema version is a `BadInput`."""
    value = read_json(path)
    described = value if isinstance(value, dict) else {}
    if (found := described.get("task", task)) != task:
        problem = f"expected a bundle of task {task}, found {str(found)[:40]!r}"
        raise BadInput(str(path), problem, OPENED_BY.get(str(found), "use the Glyphyard that wrote it"))
    version = described.get("schema_version")
    if version != SCHEMA_VERSION or type(version) is not int:
        problem = f"expected bundle schema {SCHEMA_VERSION}, found schema {version!r}"
        raise BadInput(str(path), problem, "use the Glyphyard that wrote it, or export again")
    return value


def read_manifest(path: Path) -> BundleManifest:
    """Read a recogniser's bundle.json; a task, schema version or convention that this code does not know is a `BadInput`."""
    manifest = BundleManifest.from_json(read_described(path, TASK), str(path))
    if lost := sorted({MODEL, GOLDEN} - set(manifest.files)):
        raise BadInput(str(path), f"names no {' and no '.join(lost)}", EXPORT_AGAIN)
    pixels = PixelContract.from_json(manifest.pixels, f"{path}.pixels")
    method = manifest.decode.method if manifest.decode.method in DECODERS else CTC
    ours = describe(manifest.name, Alphabet(manifest.alphabet, manifest.fold), pixels, {}, {}, method)
    for key in ("blank", "input", "output", "decode"):
        expected, found = getattr(ours, key), getattr(manifest, key)
        if expected != found:
            raise BadInput(f"{path}.{key}", f"expected {expected}, found {found}", "this version reads no other bundle")
    curve, beam = manifest.calibration, manifest.beam
    if curve and not (0 < curve.slope < math.inf and math.isfinite(curve.offset)):
        raise BadInput(f"{path}.calibration", f"expected a rising curve, found {curve}", "export it again")
    if beam and not (1 <= beam.width <= MAX_BEAM and math.isfinite(beam.weight) and math.isfinite(beam.bonus)):
        raise BadInput(f"{path}.beam", f"expected a width of 1 to {MAX_BEAM} and finite weights, found {beam}", "export it again")
    return manifest
