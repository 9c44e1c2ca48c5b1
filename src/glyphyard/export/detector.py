"""Checkpoint → detection bundle: the raw YOLO head as ONNX, compared with torch in numbers and in boxes, and read back.

The confidence from which a box counts is chosen here, on the validation pages: the one with the best F1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from glyphyard.core.boxes import Detections
from glyphyard.core.detection_metrics import Truth, best_f1, match, pooled
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_bytes, sha256_file, writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.letterbox import Letterbox
from glyphyard.core.pixels import read_image
from glyphyard.core.records import BundleRecord, DatasetManifest
from glyphyard.core.yolo import BoxRule, decode_yolo
from glyphyard.data.page_rows import PreparedPage, read_rows
from glyphyard.edge.detector import TASK, Detector, DetectorManifest, unmatched
from glyphyard.edge.golden import GoldenCanvases, pack_canvases
from glyphyard.edge.manifest import GOLDEN, MANIFEST, MODEL, SCHEMA_VERSION
from glyphyard.edge.session import OnnxSession
from glyphyard.export.bundle import installed_versions
from glyphyard.export.onnx_graph import export_onnx, for_inference
from glyphyard.export.onnx_laws import check_graph
from glyphyard.export.parity import runner_of
from glyphyard.nn.yolo import build_yolo
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.yolo import YoloConfig
from glyphyard.tasks.base import ExportSpec
from glyphyard.training.checkpoint import load_parts

MOST_PAGES = 200  # of validation, to choose the confidence on
LEAST_SCORE, LEAST_CONFIDENCE = 0.01, 0.05
NOISE_SEED = 20
SURE = 0.05  # a box this much surer than the confidence cannot fall below it by rounding
Say = Callable[[str], None]
Runner = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Seen:
    """Validation pages on the canvas (H,W,3) uint8 and where their boxes stand there."""

    canvases: list[np.ndarray]
    truths: list[Truth]


class RawHead(nn.Module):
    """What is shipped of a YOLOv8: canvases (N,3,H,W) in [0, 1] → (N, 4 + classes, anchors)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        head = network.model[-1]  # type: ignore[index]
        head.export, head.format = True, "onnx"  # type: ignore[union-attr]

    def forward(self, canvases: Tensor) -> Tensor:
        """Return centres, sizes (canvas pixels) and each class's probability of all anchors."""
        output: Tensor = self.network(canvases)
        return output


def export_detector(recipe: Recipe, checkpoint: Path, dataset: Path, out: Path, say: Say = print) -> BundleRecord:
    """Write the bundle of a stage's best weights to folder `out`, whole or not at all.

    A graph that a device could not run, a number or a box that differs from torch's, is a `StepFailed`.
    """
    config = recipe.model
    assert isinstance(config, YoloConfig)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    network = load_parts(checkpoint, nn.ModuleDict({"model": build_yolo(config, manifest.classes)}))["model"]
    head = RawHead(for_inference(network)).eval()
    letterbox = Letterbox(config.imgsz, config.imgsz)
    example = torch.zeros(2, 3, config.imgsz, config.imgsz)
    head(example)  # ultralytics works out its anchors at the first call; they are constants of the graph
    spec = ExportSpec(head, (example,), ("input",), ("output",), {"input": 0, "output": 0})
    say(f"export: detector to ONNX, opset {recipe.export.opset}")
    model = export_onnx(spec, recipe.export.opset)
    check_graph(model, spec, recipe.export.opset)
    data = model.SerializeToString(deterministic=True)
    session = OnnxSession(data, MODEL)
    seen = look_at(read_rows(dataset, manifest, "validation")[:MOST_PAGES], letterbox)
    rule = BoxRule(LEAST_SCORE, config.nms, config.most)
    rule = _chosen(seen, session.run, rule, len(manifest.classes), say)
    worst, compared = check_parity(runner_of(head), session.run, seen, letterbox, rule, recipe, len(manifest.classes))
    golden = _golden(seen, session.run, letterbox, rule, recipe.export.golden, len(manifest.classes))
    packed = {MODEL: data, GOLDEN: pack_canvases(golden)}
    described = DetectorManifest(
        schema_version=SCHEMA_VERSION,
        name=recipe.name,
        task=TASK,
        pixels=letterbox.to_json(),
        classes=manifest.classes,
        confidence=rule.confidence,
        nms=rule.iou,
        most=rule.most,
        files={name: sha256_bytes(content) for name, content in packed.items()},
        provenance={
            "recipe": recipe.name,
            "recipe_fingerprint": recipe.fingerprint,
            "dataset_fingerprint": manifest.fingerprint,
            "checkpoint_sha256": sha256_file(checkpoint),
            "versions": installed_versions(),
        },
    )
    digest = _write(out, packed, described)
    return BundleRecord(
        path=out.name,
        files={MANIFEST: digest, **described.files},
        checkpoint_sha256=sha256_file(checkpoint),
        opset=recipe.export.opset,
        max_abs_difference=worst,
        strings_compared=compared,
        versions=installed_versions(),
    )


def look_at(pages: Sequence[PreparedPage], letterbox: Letterbox) -> Seen:
    """Lay pages onto the canvas, and their boxes with them."""
    if not pages:
        raise BadInput("dataset", "has no validation pages", "hold some out")
    seen = Seen([], [])
    for page in pages:
        canvas, place = letterbox.fit(read_image(page.image))
        seen.canvases.append(canvas)
        seen.truths.append(Truth(place.to_canvas(page.boxes), page.classes))
    return seen


def _chosen(seen: Seen, run: Runner, rule: BoxRule, classes: int, say: Say) -> BoxRule:
    """Return the rule with the confidence whose F1 over all classes is the best on validation."""
    letterbox = Letterbox(*seen.canvases[0].shape[:2])
    found = [decode_yolo(run(letterbox.batch([canvas])), classes, rule)[0] for canvas in seen.canvases]
    best = best_f1(pooled([match(seen.truths, found, label) for label in range(classes)]))
    confidence = round(float(np.clip(best.confidence, LEAST_CONFIDENCE, 1 - LEAST_CONFIDENCE)), 4)
    told = f"precision {best.precision:.1%}, recall {best.recall:.1%} there" if best.hits else "nothing is found there yet"
    say(f"export: a box counts from confidence {confidence:.2f}, chosen on {len(found)} validation pages ({told})")
    return BoxRule(confidence, rule.iou, rule.most)


def check_parity(
    expected_of: Runner, found_of: Runner, seen: Seen, letterbox: Letterbox, rule: BoxRule, recipe: Recipe, classes: int
) -> tuple[float, int]:
    """Compare torch with ONNX Runtime at batches 1, 2, 3 and the largest, on pages and on noise.

    Scores may differ by the recipe's tolerance, coordinates by that share of the canvas's side; a box that only one side
    finds, and that is no toss of a coin, is a `StepFailed`. Returns the largest difference and how many boxes were compared.
    """
    config, side = recipe.export, letterbox.width
    shape = (config.max_batch, letterbox.height, letterbox.width, 3)
    noise = np.random.default_rng(NOISE_SEED).integers(0, 256, shape, dtype=np.uint8)
    worst, compared = 0.0, 0
    for kind, images in (("page", seen.canvases), ("noise", list(noise))):
        for size in sorted({1, 2, 3, config.max_batch}):
            batch = letterbox.batch([images[i % len(images)] for i in range(size)])
            expected, found = expected_of(batch), found_of(batch)
            where = f"parity, batch {size}, {kind}"
            if expected.shape != found.shape:
                raise StepFailed(where, f"torch gives {expected.shape}, the ONNX {found.shape}", "nothing was written")
            difference = max(_apart(expected[:, :4], found[:, :4]) / side, _apart(expected[:, 4:], found[:, 4:]))
            if not difference <= config.tolerance:
                problem = f"torch and the ONNX differ by {difference:.2e}, more than the {config.tolerance:g} allowed"
                raise StepFailed(where, problem, "the exported model is not the trained one; nothing was written")
            worst = max(worst, difference)
            if kind == "page":
                compared += _same_boxes(expected, found, rule, classes, where)
    return worst, compared


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max()) if np.isfinite(a).all() and np.isfinite(b).all() else float("inf")


def _same_boxes(expected: np.ndarray, found: np.ndarray, rule: BoxRule, classes: int, where: str) -> int:
    ours, theirs = decode_yolo(expected, classes, rule), decode_yolo(found, classes, rule)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if missing := unmatched(a, b, rule.confidence + SURE) + unmatched(b, a, rule.confidence + SURE):
            raise StepFailed(
                f"{where} {i}", f"{missing} boxes are found by one of torch and the ONNX only", "nothing was written"
            )
    return sum(len(a) for a in ours)


def _golden(seen: Seen, run: Runner, letterbox: Letterbox, rule: BoxRule, count: int, classes: int) -> GoldenCanvases:
    chosen = np.unique(np.linspace(0, len(seen.canvases) - 1, min(count, len(seen.canvases))).round().astype(int))
    canvases = [seen.canvases[i] for i in chosen]
    found: list[Detections] = [decode_yolo(run(letterbox.batch([canvas])), classes, rule)[0] for canvas in canvases]
    return GoldenCanvases(np.stack(canvases), found)


def _write(out: Path, packed: dict[str, bytes], described: DetectorManifest) -> str:
    with writing(out), atomic_folder(out) as folder:
        for name, content in packed.items():
            (folder / name).write_bytes(content)
        described.write(folder / MANIFEST)
        try:
            Detector(folder)
        except BadInput as error:
            raise StepFailed("export", f"the new bundle does not hold ({error.problem})", "nothing was written") from error
        return sha256_file(folder / MANIFEST)
