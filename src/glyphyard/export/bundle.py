"""Checkpoint → bundle: export, check, compare, pack, and read it back as a device would, before anyone sees the folder."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from torch import nn

from glyphyard.core.decoding import decoder_of
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_bytes, sha256_file, write_json, writing
from glyphyard.core.folders import atomic_folder
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import BundleRecord, DatasetManifest
from glyphyard.edge.bundle import Golden, pack_golden
from glyphyard.edge.manifest import GOLDEN, MANIFEST, MODEL, describe
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.session import OnnxSession
from glyphyard.export.cpu_graph import cpu_file, known_crops
from glyphyard.export.crops import Show, spread_crops
from glyphyard.export.engine_plans import Exported, target_files
from glyphyard.export.onnx_graph import export_onnx, for_inference
from glyphyard.export.onnx_laws import check_graph
from glyphyard.export.parity import check_parity, runner_of
from glyphyard.export.validation import learn_from_data
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.base import Task
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import load_parts

PACKAGES = ("glyphyard", "torch", "onnx", "onnxslim", "onnxruntime-gpu", "onnxruntime", "numpy", "opencv-python-headless")


def export_checkpoint(
    recipe: Recipe, checkpoint: Path, dataset: Path, out: Path, say: Callable[[str], None] = print
) -> BundleRecord:
    """Load a stage's best weights and export them; see `export_bundle`."""
    task = task_of(recipe)
    return export_bundle(recipe, task, load_parts(checkpoint, task.build()), checkpoint, dataset, out, say)


def export_bundle(
    recipe: Recipe,
    task: Task,
    parts: nn.ModuleDict,
    checkpoint: Path,
    dataset: Path,
    out: Path,
    say: Callable[[str], None] = print,
    show: Show | None = None,
) -> BundleRecord:
    """Write the bundle of trained `parts` to folder `out`, whole or not at all (an older one is replaced).

    `show`: what makes the crops that it will read of a dataset's rows, where that is a generator. Confidences are fitted and
    other forms of the model judged on those.

    A graph that a device could not run, a number or a string that differs from torch's, or a bundle that does not read
    its own golden crops is a `StepFailed`.
    """
    manifest = DatasetManifest.read(dataset / "manifest.json")
    config, image = recipe.export, recipe.dataset.image
    pixels = PixelContract(image.height, image.width, image.channels, image.interpolation)
    alphabet = recipe.dataset.the_alphabet()
    spec = task.export_spec(for_inference_parts(parts))
    say(f"export: torch to ONNX, opset {config.opset}")
    model = export_onnx(spec, config.opset)
    check_graph(model, spec, config.opset)
    data = model.SerializeToString(deterministic=True)
    session = OnnxSession(data, MODEL)
    crops = spread_crops(dataset, manifest, pixels, max(config.max_batch, config.golden))
    say(f"export: comparing with torch at batches 1, 2, 3 and {config.max_batch} on {len(crops)} crops and on noise")
    parity = check_parity(
        runner_of(spec.module),
        session.run,
        crops,
        pixels,
        alphabet,
        max_batch=config.max_batch,
        tolerance=config.tolerance,
        method=spec.decode,
    )
    chosen = [crops[i] for i in np.unique(np.linspace(0, len(crops) - 1, min(config.golden, len(crops))).round().astype(int))]
    logits = session.run(pixels.batch(chosen))
    golden = Golden(np.stack(chosen), [reading.text for reading in decoder_of(spec.decode)(logits, alphabet)], logits)
    packed = {MODEL: data, GOLDEN: pack_golden(golden)}
    exported = Exported(
        model=model,
        golden=golden,
        pixels=pixels,
        decode=lambda output: decoder_of(spec.decode)(output, alphabet),
        training_crops=lambda count: spread_crops(dataset, manifest, pixels, count, splits=("train",), show=show),
        dataset_fingerprint=manifest.fingerprint,
    )
    packed |= target_files(exported, config, say)
    learnt = learn_from_data(dataset, manifest, pixels, alphabet, session.run, decoder_of(spec.decode), config, say, show)
    packed |= learnt.files
    for_cpu = cpu_file(
        model, session.run, golden, lambda: known_crops(dataset, manifest, pixels, show), pixels, exported.decode, config, say
    )
    packed |= for_cpu.files
    versions = installed_versions()
    checkpoint_sha256 = sha256_file(checkpoint)
    provenance = {
        "recipe": recipe.name,
        "recipe_fingerprint": recipe.fingerprint,
        "dataset_fingerprint": manifest.fingerprint,
        "checkpoint_sha256": checkpoint_sha256,
        "versions": versions,
    } | ({"cpu": for_cpu.noted} if for_cpu.noted else {})
    files = {name: sha256_bytes(content) for name, content in packed.items()}
    described = describe(recipe.name, alphabet, pixels, files, provenance, spec.decode, learnt.calibration, learnt.beam).to_json()
    manifest_sha256 = _write(out, packed, described)
    return BundleRecord(
        path=out.name,
        files={MANIFEST: manifest_sha256, **files},
        checkpoint_sha256=checkpoint_sha256,
        opset=config.opset,
        max_abs_difference=parity.max_abs_difference,
        strings_compared=parity.strings_compared,
        versions=versions,
    )


def for_inference_parts(parts: nn.ModuleDict) -> nn.ModuleDict:
    """Return a copy of all parts on the CPU, in fp32 and evaluation mode; the originals are left as they are."""
    copied = for_inference(parts)
    assert isinstance(copied, nn.ModuleDict)
    return copied


def _write(out: Path, packed: dict[str, bytes], described: dict[str, object]) -> str:
    with writing(out), atomic_folder(out) as folder:
        for name, content in packed.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        write_json(folder / MANIFEST, described)
        _read_back(folder)
        return sha256_file(folder / MANIFEST)


def _read_back(folder: Path) -> None:
    """Open, verify and replay the bundle exactly as a device will."""
    try:
        Recognizer(folder)
    except BadInput as error:
        raise StepFailed("export", f"the new bundle does not hold ({error.problem})", "nothing was written") from error


def installed_versions() -> dict[str, str]:
    """Return the versions of what made the bundle, as far as it is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
