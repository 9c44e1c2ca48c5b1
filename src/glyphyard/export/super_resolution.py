"""Checkpoint → super-resolution bundle: generator and recogniser as ONNX, each compared with torch, then both together.

The recogniser is a bundle of task recognition, made by `export.bundle` in the form that its config names (`decode`, `refine`).
What that form costs against the most careful one is measured on the held-out set and stands in bundle.json.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnx import ModelProto
from torch import nn

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_bytes, sha256_file, writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import BundleRecord, DatasetManifest
from glyphyard.core.targets import target_named
from glyphyard.data.degrade import degrade
from glyphyard.edge.manifest import GOLDEN, MANIFEST, SCHEMA_VERSION
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.restorer import GENERATOR, RECOGNISER, TASK, GoldenPairs, Restorer, RestorerManifest, pack_pairs, to_images
from glyphyard.edge.session import OnnxSession
from glyphyard.export.bundle import export_bundle, for_inference_parts, installed_versions
from glyphyard.export.crops import Show, to_array
from glyphyard.export.form_cost import FormCost, HeldOut, as_recogniser, form_cost, read_held_out
from glyphyard.export.lint import lint, refuse
from glyphyard.export.onnx_graph import export_onnx
from glyphyard.export.onnx_laws import check_graph
from glyphyard.export.parity import runner_of
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import RestorerConfig
from glyphyard.recipe.run import ExportConfig
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import load_parts

SURE = 0.5  # a character read with more than this cannot be a tie with another
NOISE_SEED = 20
Say = Callable[[str], None]


def export_restorer(recipe: Recipe, checkpoint: Path, dataset: Path, out: Path, say: Say = print) -> BundleRecord:
    """Write the bundle of a stage's best weights to folder `out`, whole or not at all.

    A graph that a device could not run, or a number or a string that differs from torch's, is a `StepFailed`.
    """
    task = task_of(recipe)
    parts = for_inference_parts(load_parts(checkpoint, task.build()))
    manifest = DatasetManifest.read(dataset / "manifest.json")
    held_out = read_held_out(dataset, manifest, recipe)
    with writing(out), atomic_folder(out) as folder:
        spec = task.export_spec(parts)
        say(f"export: generator to ONNX, opset {recipe.export.opset}")
        model = export_onnx(spec, recipe.export.opset)
        check_graph(model, spec, recipe.export.opset)
        _hold_against_targets(model, recipe.export, say)
        data = model.SerializeToString(deterministic=True)
        low = PixelContract(**(manifest.low_pixels or {}))
        session = OnnxSession(data, GENERATOR)
        show = _shown(session, low, PixelContract(**manifest.pixels), recipe)
        reader = _export_recogniser(recipe, parts, checkpoint, dataset, folder / RECOGNISER, say, show)
        recogniser = Recognizer(folder / RECOGNISER)
        worst, compared = _check_pictures(spec.module, session, recogniser, held_out, low, recipe)
        cost = form_cost(recipe, parts, session, recogniser, held_out, low, say)
        golden = pack_pairs(_golden(session, recogniser, held_out, low, recipe.export.golden))
        for name, content in ((GENERATOR, data), (GOLDEN, golden)):
            (folder / name).write_bytes(content)
        files = {name: sha256_bytes(content) for name, content in ((GENERATOR, data), (GOLDEN, golden))}
        files |= {f"{RECOGNISER}/{name}": digest for name, digest in reader.files.items()}
        described = _described(recipe, manifest, files, checkpoint, cost, held_out)
        described.write(folder / MANIFEST)
        _read_back(folder)
        digest = sha256_file(folder / MANIFEST)
    return BundleRecord(
        path=out.name,
        files={MANIFEST: digest, **files},
        checkpoint_sha256=sha256_file(checkpoint),
        opset=recipe.export.opset,
        max_abs_difference=max(worst, reader.max_abs_difference),
        strings_compared=compared + reader.strings_compared,
        versions=installed_versions(),
    )


def _hold_against_targets(model: ModelProto, config: ExportConfig, say: Say) -> None:
    """Refuse a generator that a target could not run, and say what to know of it there; plans are the recogniser's alone."""
    for wanted in config.targets:
        target = target_named(wanted.name, "export.targets")
        findings = lint(model, target, wanted.dla)
        refuse(findings, target)
        for finding in findings:
            say(f"export: {target.name}: {GENERATOR}: {finding}")
    if config.targets:
        say(f"export: plans are the recogniser's; {GENERATOR} is held against the same devices, and runs in ONNX Runtime there")


def _export_recogniser(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, out: Path, say: Say, show: Show
) -> BundleRecord:
    view, model = as_recogniser(recipe), nn.ModuleDict({"model": parts["recogniser"]})
    return export_bundle(view, task_of(view), model, checkpoint, dataset, out, say, show)


def _shown(session: OnnxSession, low: PixelContract, high: PixelContract, recipe: Recipe) -> Show:
    """Return what makes the crops that the recogniser will read: the generator, of low sides; of rows without one it is drawn."""
    most, degradation = recipe.export.max_batch, recipe.dataset.low_resolution
    assert degradation is not None

    def small(rows: list[dict[str, Any]]) -> list[np.ndarray]:
        bare = [row for row in rows if row["lr_pixels"] is None]
        if not bare:
            return [to_array(row["lr_pixels"], low) for row in rows]
        crops = torch.from_numpy(np.stack([to_array(row["pixels"], high) for row in bare]))
        drawn = iter(degrade(crops, torch.tensor([row["id"] for row in bare]), 1, recipe.seed, degradation).numpy())
        return [next(drawn) if row["lr_pixels"] is None else to_array(row["lr_pixels"], low) for row in rows]

    def show(rows: list[dict[str, Any]]) -> list[np.ndarray]:
        batches = (rows[start : start + most] for start in range(0, len(rows), most))
        return [image for batch in batches for image in to_images(session.run(low.batch(small(batch))))]

    return show


def _check_pictures(
    module: nn.Module, session: OnnxSession, recogniser: Recognizer, held_out: HeldOut, low: PixelContract, recipe: Recipe
) -> tuple[float, int]:
    """Compare torch's pictures with ONNX Runtime's at batches 1, 2, 3 and the largest, and what is read of them."""
    config, expected_of = recipe.export, runner_of(module)
    noise = np.random.default_rng(NOISE_SEED).integers(0, 256, (config.max_batch, *held_out.small[0].shape), dtype=np.uint8)
    worst, compared = 0.0, 0
    for kind, images in (("crop", held_out.small), ("noise", list(noise))):
        for size in sorted({1, 2, 3, config.max_batch}):
            batch = low.batch([images[i % len(images)] for i in range(size)])
            expected, found = expected_of(batch), session.run(batch)
            where = f"parity of the generator, batch {size}, {kind}"
            difference = float(np.abs(expected - found).max()) if expected.shape == found.shape else float("inf")
            if not difference <= config.tolerance:
                problem = f"torch and the ONNX differ by {difference:.2e}, more than the {config.tolerance:g} allowed"
                raise StepFailed(where, problem, "the exported model is not the trained one; nothing was written")
            worst = max(worst, difference)
            if kind == "crop":
                compared += _same_texts(recogniser, to_images(expected), to_images(found), where)
    return worst, compared


def _same_texts(recogniser: Recognizer, expected: list[np.ndarray], found: list[np.ndarray], where: str) -> int:
    ours, theirs = recogniser.read_many(expected), recogniser.read_many(found)
    sure = [i for i, reading in enumerate(ours) if is_sure(reading)]
    for i in sure:
        if ours[i].text != theirs[i].text:
            raise StepFailed(f"{where} {i}", f"torch's picture reads {ours[i].text!r}, the ONNX's {theirs[i].text!r}", "")
    return len(sure)


def is_sure(reading: Reading) -> bool:
    """Say that no character of a reading is a toss of a coin, which rounding may decide either way."""
    return bool(reading.text) and min(reading.character_confidences) > SURE


def _golden(session: OnnxSession, recogniser: Recognizer, held_out: HeldOut, low: PixelContract, count: int) -> GoldenPairs:
    chosen = np.unique(np.linspace(0, len(held_out.small) - 1, min(count, len(held_out.small))).round().astype(int))
    small = [held_out.small[i] for i in chosen]
    made = to_images(session.run(low.batch(small)))
    readings = recogniser.read_many(made)
    return GoldenPairs(np.stack(small), np.stack(made), [r.text for r in readings], [is_sure(r) for r in readings])


def _described(
    recipe: Recipe, manifest: DatasetManifest, files: dict[str, str], checkpoint: Path, cost: FormCost, held_out: HeldOut
) -> RestorerManifest:
    assert manifest.low_pixels is not None
    assert isinstance(recipe.model, RestorerConfig)
    provenance = {
        "recipe": recipe.name,
        "recipe_fingerprint": recipe.fingerprint,
        "dataset_fingerprint": manifest.fingerprint,
        "checkpoint_sha256": sha256_file(checkpoint),
        "versions": installed_versions(),
    }
    scale = recipe.model.generator.scale
    measured = {"content_sha256": held_out.content_sha256, "groups": cost.by_group(held_out.groups)}
    return RestorerManifest(
        SCHEMA_VERSION,
        recipe.name,
        TASK,
        scale,
        manifest.low_pixels,
        manifest.pixels,
        files,
        provenance,
        cost.shares(),
        measured,
    )


def _read_back(folder: Path) -> None:
    try:
        Restorer(folder)
    except BadInput as error:
        raise StepFailed("export", f"the new bundle does not hold ({error.problem})", "nothing was written") from error
