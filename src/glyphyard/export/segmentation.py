"""Checkpoint → segmentation bundle: Mask R-CNN as ONNX, compared with torch canvas by canvas, and the confidence to believe.

The graph comes from torch's older exporter: the newer one fails on the network's data-dependent sizes. It holds NonZero, NMS
and RoiAlign, so it is for ONNX Runtime only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto
from torch import nn

from glyphyard.core.boxes import Detections, box_iou
from glyphyard.core.detection_metrics import Truth, best_f1, match, pooled
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_bytes, sha256_file, writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.letterbox import Letterbox
from glyphyard.core.plate_reading import read_plate
from glyphyard.core.records import BundleRecord, DatasetManifest
from glyphyard.data.resident import load_resident
from glyphyard.edge import segmenter as edge
from glyphyard.edge.golden import GoldenCanvases, pack_canvases
from glyphyard.edge.manifest import GOLDEN, MANIFEST, MODEL, SCHEMA_VERSION
from glyphyard.edge.session import OnnxSession
from glyphyard.export.bundle import for_inference_parts, installed_versions
from glyphyard.export.onnx_graph import BATCH, export_onnx
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.catalogue import task_of
from glyphyard.tasks.segmentation.task import Segmentation
from glyphyard.training.checkpoint import load_parts

MOST_PLATES = 256  # of the validation split, for parity and for choosing the confidence
COMPARED = 10  # the surest characters of a plate are compared, and all that are surer than SURE
SURE, GOLDEN_SURE = 0.5, 0.3
CLOSE_PX = 0.25
DEFAULT_CONFIDENCE = 0.5  # where validation says nothing
REMEDY = "the exported model is not the trained one; nothing was written"
Say = Callable[[str], None]
# What was found on a canvas, and the maps of its masks.
Found = tuple[Detections, np.ndarray]


@dataclass(frozen=True)
class HeldOut:
    """Validation plates: canvases (N,H,W,3) RGB uint8, and what there is on each."""

    canvases: np.ndarray
    truths: list[Truth]


def export_segmenter(recipe: Recipe, checkpoint: Path, dataset: Path, out: Path, say: Say = print) -> BundleRecord:
    """Write the bundle of a stage's best weights to folder `out`, whole or not at all.

    A graph that ONNX Runtime cannot run, or a character that differs from torch's, is a `StepFailed`.
    """
    task = task_of(recipe)
    assert isinstance(task, Segmentation)
    manifest = DatasetManifest.read(dataset / "manifest.json")
    letterbox = Letterbox.from_json(manifest.pixels, str(dataset / "manifest.json"))
    if (letterbox.height, letterbox.width) != (recipe.dataset.image.height, recipe.dataset.image.width):
        raise BadInput(str(dataset), f"was prepared for pixels {manifest.pixels}, not for the recipe's", "prepare it again")
    held_out = _held_out(dataset, task)
    spec = task.export_spec(for_inference_parts(load_parts(checkpoint, task.build())))
    say(f"export: Mask R-CNN to ONNX by torch's older exporter, opset {recipe.export.opset}; for ONNX Runtime, not for TensorRT")
    data = named(export_onnx(spec, recipe.export.opset)).SerializeToString(deterministic=True)
    try:
        session = edge.open_model(data, MODEL)
    except BadInput as error:
        raise StepFailed("export", error.problem, REMEDY) from error
    found = [edge.find_on_canvas(session, letterbox, canvas) for canvas in held_out.canvases]
    compared = min(len(held_out.canvases), recipe.export.max_batch)
    say(f"export: comparing with torch on {compared} validation plates and an empty canvas")
    worst = check_parity(spec.module, session, letterbox, held_out.canvases[:compared], found, task, recipe.export.tolerance)
    confidence = chosen_confidence(held_out.truths, [one for one, _ in found], len(task.classes))
    say(
        f"export: characters are believed from a confidence of {confidence:.3f} on: the best F1 on {len(found)} validation plates"
    )
    packed = {MODEL: data, GOLDEN: pack_canvases(_golden(held_out.canvases, found, recipe.export.golden))}
    files = {name: sha256_bytes(content) for name, content in packed.items()}
    checkpoint_sha256, versions = sha256_file(checkpoint), installed_versions()
    provenance = {
        "recipe": recipe.name,
        "recipe_fingerprint": recipe.fingerprint,
        "dataset_fingerprint": manifest.fingerprint,
        "checkpoint_sha256": checkpoint_sha256,
        "versions": versions,
    }
    described = edge.SegmenterManifest(
        SCHEMA_VERSION, recipe.name, edge.TASK, edge.RUNTIME, list(task.classes), task.reads, letterbox.to_json(), confidence,
        files, provenance,
    )  # fmt: skip
    digest = _write(out, packed, described)
    return BundleRecord(out.name, {MANIFEST: digest, **files}, checkpoint_sha256, recipe.export.opset, worst, compared, versions)


def named(model: ModelProto) -> ModelProto:
    """Call the number of characters what it is: the exporter knows one name for whatever is dynamic."""
    for value in model.graph.output:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == BATCH:
                dimension.dim_param = "characters"
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker's errors have no common base
        raise StepFailed("export", f"onnx.checker refuses the graph ({str(error).splitlines()[0][:160]})", REMEDY) from error
    return model


def _held_out(dataset: Path, task: Segmentation) -> HeldOut:
    split = load_resident(dataset, "validation")
    if "outlines" not in split.more:
        raise BadInput(str(dataset), "its rows have no outlines", "prepare it for task segmentation")
    labels, outlines = (split.more[name][:MOST_PLATES].numpy() for name in ("labels", "outlines"))
    truths = []
    for numbers, places in zip(labels, outlines, strict=True):
        there = numbers > 0
        boxes = np.concatenate([places[there].min(1), places[there].max(1)], axis=1)
        truths.append(Truth(boxes, numbers[there] - 1 if task.reads else np.zeros(there.sum(), np.int64)))
    return HeldOut(split.images[:MOST_PLATES].numpy(), truths)


def check_parity(
    module: nn.Module,
    session: OnnxSession,
    letterbox: Letterbox,
    canvases: np.ndarray,
    found: list[Found],
    task: Segmentation,
    tolerance: float,
) -> float:
    """Return the largest difference of a score or a mask between torch and ONNX Runtime; too large a one is a `StepFailed`.

    Compared are the surest characters of each plate by the place where they stand: among boxes that are all but equal, which one
    suppression keeps is rounding's choice, and so is the order.
    """
    empty = np.full_like(canvases[0], letterbox.grey)
    worst = 0.0
    for i, canvas in enumerate([*canvases, empty]):
        where = f"parity, {'the empty canvas' if i == len(canvases) else f'plate {i}'}"
        expected = in_torch(module, letterbox.batch([canvas]))
        here = found[i] if i < len(canvases) else edge.find_on_canvas(session, letterbox, canvas)
        worst = max(worst, _same(expected, here, tolerance, where))
        if task.reads:
            ours, theirs = (read_plate(one, task.classes, SURE).text for one, _ in (expected, here))
            if ours != theirs and not _has_tie(expected[0], tolerance):
                raise StepFailed(where, f"torch reads {ours!r}, the ONNX {theirs!r}", REMEDY)
    return worst


def in_torch(module: nn.Module, batch_1CHW: np.ndarray) -> Found:
    """Return what torch finds on a canvas, as `edge.segmenter.find_on_canvas` does."""
    with torch.inference_mode():
        boxes, labels, scores, masks = (value.numpy() for value in module(torch.from_numpy(batch_1CHW)))
    there = scores > 0
    found = Detections(boxes[there].astype(np.float64), scores[there].astype(np.float64), labels[there] - 1)
    return found, masks[there]


def _same(expected: Found, found: Found, tolerance: float, where: str) -> float:
    worst = 0.0
    for one, other, side in ((expected, found, "the ONNX"), (found, expected, "torch")):
        surest = _surest(one[0])
        if missing := edge.missing_of(one[0].take(surest), other[0], tolerance):
            raise StepFailed(where, f"{side}: {missing}", REMEDY)
        for k in surest:
            worst = max(worst, _difference(one, int(k), other, where, tolerance))
    return worst


def _surest(found: Detections) -> np.ndarray:
    order = np.argsort(-found.scores, kind="stable")
    return order[: max(COMPARED, int((found.scores > SURE).sum()))]


def _difference(one: Found, k: int, other: Found, where: str, tolerance: float) -> float:
    there = np.flatnonzero(other[0].classes == one[0].classes[k])
    match_ = there[int(box_iou(one[0].boxes[k][None], other[0].boxes[there])[0].argmax())]
    away = float(np.abs(one[0].boxes[k] - other[0].boxes[match_]).max())
    apart = max(float(np.abs(one[1][k] - other[1][match_]).max()), abs(float(one[0].scores[k] - other[0].scores[match_])))
    if not (away <= CLOSE_PX and apart <= tolerance):
        problem = f"torch and the ONNX differ by {away:.2e} px and {apart:.2e}, more than {CLOSE_PX} px and {tolerance:g}"
        raise StepFailed(where, problem, REMEDY)
    return apart


def _has_tie(found: Detections, tolerance: float) -> bool:
    return bool((np.abs(found.scores - SURE) <= tolerance).any())


def chosen_confidence(truths: list[Truth], found: list[Detections], classes: int) -> float:
    """Return the confidence with the best F1 at IoU 0.5 over all classes, a half where nothing was found right."""
    best = best_f1(pooled([match(truths, found, label) for label in range(classes)]))
    return float(best.confidence) if best.hits else DEFAULT_CONFIDENCE


def _golden(canvases: np.ndarray, found: list[Found], count: int) -> GoldenCanvases:
    chosen = np.unique(np.linspace(0, len(canvases) - 1, min(count, len(canvases))).round().astype(int))
    return GoldenCanvases(canvases[chosen], [found[i][0].take(found[i][0].scores >= GOLDEN_SURE) for i in chosen])


def _write(out: Path, packed: dict[str, bytes], described: edge.SegmenterManifest) -> str:
    with writing(out), atomic_folder(out) as folder:
        for name, content in packed.items():
            (folder / name).write_bytes(content)
        described.write(folder / MANIFEST)
        try:
            edge.Segmenter(folder)
        except BadInput as error:
            raise StepFailed("export", f"the new bundle does not hold ({error.problem})", "nothing was written") from error
        return sha256_file(folder / MANIFEST)
