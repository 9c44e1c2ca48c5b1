"""Checkpoint → super-resolution bundle: generator and recogniser as ONNX, each compared with torch, then both together.

The recogniser is a bundle of task recognition, made by `export.bundle` in the form that its config names (`decode`, `refine`).
What that form costs against the most careful one is measured on the held-out set and stands in bundle.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from onnx import ModelProto
from torch import nn

from glyphyard.core.ctc import Reading
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import atomic_folder, sha256_bytes, sha256_file, writing
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import BundleRecord, DatasetManifest
from glyphyard.core.targets import target_named
from glyphyard.edge.manifest import GOLDEN, MANIFEST, SCHEMA_VERSION
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.restorer import GENERATOR, RECOGNISER, TASK, GoldenPairs, Restorer, RestorerManifest, pack_pairs, to_images
from glyphyard.edge.session import OnnxSession
from glyphyard.export.bundle import export_bundle, for_inference_parts, installed_versions
from glyphyard.export.lint import lint, refuse
from glyphyard.export.onnx_graph import export_onnx
from glyphyard.export.onnx_laws import check_graph
from glyphyard.export.parity import runner_of
from glyphyard.recipe.model import ParseqConfig
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.restorer import RestorerConfig
from glyphyard.recipe.run import ExportConfig
from glyphyard.tasks.catalogue import task_of
from glyphyard.training.checkpoint import load_parts

SPLITS = ("test", "validation")  # held-out rows have a low side for good
MOST_HELD_OUT = 4096
SURE = 0.5  # a character read with more than this cannot be a tie with another
NOISE_SEED = 20
BATCH = 64
Say = Callable[[str], None]


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows in both resolutions, uint8, their texts as the alphabet writes them, and which plate they show.

    `content_sha256` is the split's, of whose `rows` these are evenly spread ones where there are too many.
    """

    small: list[np.ndarray]
    large: list[np.ndarray]
    texts: list[str]
    groups: list[str]
    content_sha256: str
    rows: int


@dataclass(frozen=True)
class FormCost:
    """Which held-out words the most careful form of the recogniser reads right, and which the shipped one, (N,) bool each."""

    trained: np.ndarray
    exported: np.ndarray

    def shares(self) -> dict[str, float]:
        """Return both word accuracies, and the count."""
        return {
            "trained_word_acc": float(self.trained.mean()),
            "exported_word_acc": float(self.exported.mean()),
            "samples": float(len(self.trained)),
        }

    def by_group(self, groups: list[str]) -> list[list[int]]:
        """Return [words lost, crops, how many such plates]: all that an interval over plates needs."""
        _, number = np.unique(np.array(groups), return_inverse=True)
        lost = np.bincount(number, weights=self.trained.astype(int) - self.exported.astype(int)).astype(int)
        found = Counter(zip(lost.tolist(), np.bincount(number).tolist(), strict=True))
        return [[*kind, plates] for kind, plates in sorted(found.items())]


def export_restorer(recipe: Recipe, checkpoint: Path, dataset: Path, out: Path, say: Say = print) -> BundleRecord:
    """Write the bundle of a stage's best weights to folder `out`, whole or not at all.

    A graph that a device could not run, or a number or a string that differs from torch's, is a `StepFailed`.
    """
    task = task_of(recipe)
    parts = for_inference_parts(load_parts(checkpoint, task.build()))
    manifest = DatasetManifest.read(dataset / "manifest.json")
    held_out = read_held_out(dataset, manifest, recipe)
    with writing(out), atomic_folder(out) as folder:
        reader = _export_recogniser(recipe, parts, checkpoint, dataset, folder / RECOGNISER, say)
        spec = task.export_spec(parts)
        say(f"export: generator to ONNX, opset {recipe.export.opset}")
        model = export_onnx(spec, recipe.export.opset)
        check_graph(model, spec, recipe.export.opset)
        _hold_against_targets(model, recipe.export, say)
        data = model.SerializeToString(deterministic=True)
        low = PixelContract(**(manifest.low_pixels or {}))
        session, recogniser = OnnxSession(data, GENERATOR), Recognizer(folder / RECOGNISER)
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


def as_recogniser(recipe: Recipe) -> Recipe:
    """Return the recipe of the recogniser alone, as task recognition sees it."""
    assert isinstance(recipe.model, RestorerConfig)
    return recipe.model_copy(
        update={"task": "recognition", "model": recipe.model.recogniser, "name": f"{recipe.name}-recogniser"}
    )


def _export_recogniser(
    recipe: Recipe, parts: nn.ModuleDict, checkpoint: Path, dataset: Path, out: Path, say: Say
) -> BundleRecord:
    view = as_recogniser(recipe)
    return export_bundle(view, task_of(view), nn.ModuleDict({"model": parts["recogniser"]}), checkpoint, dataset, out, say)


def read_held_out(dataset: Path, manifest: DatasetManifest, recipe: Recipe, most: int = MOST_HELD_OUT) -> HeldOut:
    """Return the test split (validation where there is none) in both resolutions; of a larger one `most` rows, evenly spread."""
    split = next((manifest.splits[name] for name in SPLITS if name in manifest.splits and manifest.splits[name].rows), None)
    if split is None or manifest.low_pixels is None:
        raise BadInput(
            str(dataset), "has no held-out rows in two resolutions", "state dataset.low_resolution and hold groups out"
        )
    high, low = PixelContract(**manifest.pixels), PixelContract(**manifest.low_pixels)
    alphabet, found = recipe.dataset.the_alphabet(), HeldOut([], [], [], [], split.content_sha256, split.rows)
    wanted, first = np.unique(np.linspace(0, split.rows - 1, min(most, split.rows)).round().astype(int)), 0
    for shard in split.shards:
        here = wanted[(wanted >= first) & (wanted < first + shard.rows)] - first
        first += shard.rows
        for row in pq.read_table(dataset / shard.path, columns=["pixels", "lr_pixels", "text", "group"]).take(here).to_pylist():
            found.small.append(_image(row["lr_pixels"], low))
            found.large.append(_image(row["pixels"], high))
            found.texts.append(alphabet.canonical(row["text"]))
            found.groups.append(row["group"])
    return found


def _image(data: bytes, pixels: PixelContract) -> np.ndarray:
    shape = (pixels.height, pixels.width) if pixels.channels == 1 else (pixels.height, pixels.width, pixels.channels)
    return np.frombuffer(data, np.uint8).reshape(shape)


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


def form_cost(
    recipe: Recipe,
    parts: nn.ModuleDict,
    session: OnnxSession,
    recogniser: Recognizer,
    held_out: HeldOut,
    low: PixelContract,
    say: Say,
) -> FormCost:
    """Read what the generator makes in the most careful form in torch and in the shipped one."""
    careful = careful_recipe(recipe)
    task = task_of(careful)
    network = task.build()["model"]
    network.load_state_dict(parts["recogniser"].state_dict())
    network.eval()
    pixels = PixelContract(recipe.dataset.image.height, recipe.dataset.image.width, recipe.dataset.image.channels)
    right: dict[str, list[bool]] = {"trained": [], "exported": []}
    alphabet = recipe.dataset.the_alphabet()
    for start in range(0, len(held_out.texts), BATCH):
        truths = held_out.texts[start : start + BATCH]
        made = to_images(session.run(low.batch(held_out.small[start : start + BATCH])))
        with torch.inference_mode():
            log_probs = network(torch.from_numpy(pixels.batch(made)))
        trained = task.reader.readings(log_probs)  # type: ignore[attr-defined]  # task recognition has a reader
        for name, readings in (("trained", trained), ("exported", recogniser.read_many(made))):
            right[name] += [alphabet.canonical(r.text) == t for r, t in zip(readings, truths, strict=True)]
    cost, count = FormCost(np.array(right["trained"]), np.array(right["exported"])), len(held_out.texts)
    of = "" if count == held_out.rows else f" of {held_out.rows}"
    say(
        f"export: on {count}{of} held-out crops the shipped form reads {cost.exported.mean():.1%} of the words, "
        f"the trained one {cost.trained.mean():.1%}"
    )
    return cost


def careful_recipe(recipe: Recipe) -> Recipe:
    """Return the recogniser's recipe in the form that reads best: one character after the other, then refined."""
    view = as_recogniser(recipe)
    if not isinstance(view.model, ParseqConfig):
        return view
    careful = view.model.model_copy(update={"decode": "autoregressive", "refine": max(1, view.model.refine)})
    return view.model_copy(update={"model": careful})


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
