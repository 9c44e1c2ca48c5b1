"""A run folder as a real run leaves it, made in a moment: drawn plates, misreadings that plates are known for, all records."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glyphyard.core.files import canonical_json, read_json, sha256_bytes, sha256_file, write_json
from glyphyard.core.records import CheckpointRecord, DatasetManifest, Figure, Finding, Scorecard, Shard, SplitRecord, Verdict
from glyphyard.core.text_metrics import count_texts
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig

SIMILAR = {
    "0": "OD",
    "O": "0",
    "8": "B",
    "B": "8",
    "1": "I",
    "I": "1",
    "5": "S",
    "S": "5",
    "2": "Z",
    "Z": "2",
    "V": "Y",
    "M": "N",
    "Q": "O",
}
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """Return `fake_run`."""
    return fake_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A whole run folder."""
    return fake_run(tmp_path, samples=60)


@pytest.fixture
def restorer_run(tmp_path: Path) -> Path:
    """A run of super-resolution: rows with a small side, and of every other one what was made of it."""
    run = fake_run(tmp_path / "restored", samples=60)
    write_json(run / "recipe.json", read_json(run / "recipe.json") | {"task": "super_resolution"})
    dataset = tmp_path / "restored" / "datasets" / "0123456789abcdef"
    manifest = read_json(dataset / "manifest.json")
    write_json(dataset / "manifest.json", manifest | {"low_pixels": manifest["pixels"] | {"height": 16, "width": 64}})
    shard = pq.read_table(dataset / "test-00000.parquet")
    small = pa.array([b"\x40" * 16 * 64] * len(shard), pa.binary())
    pq.write_table(shard.append_column("lr_pixels", small), dataset / "test-00000.parquet")
    views = dict.fromkeys(("low", "bicubic", "made", "hr"), bytes(cv2.imencode(".png", np.full((32, 128), 96, np.uint8))[1]))
    strips = [{"id": i, "truth": "ABC123", "psnr": 20.0} | views for i in range(0, 60, 2)]
    pq.write_table(pa.Table.from_pylist(strips), run / "strips.parquet")
    return run


def fake_run(store: Path, name: str = "florida_crnn-20261120-231500-1a2b", samples: int = 240, outcome: str = "PASS") -> Path:
    """Write the run folder `store`/`name` and its dataset; the same arguments give the same bytes."""
    dice = random.Random(5)
    run, dataset = store / name, store / "datasets" / "0123456789abcdef"
    recipe = fake_recipe()
    write_json(run / "recipe.json", recipe.to_json())
    write_json(run / "environment.json", ENVIRONMENT)
    rows = [_sample(i, dice) for i in range(samples)]
    manifest = _dataset(dataset, rows, recipe)
    write_json(run / "dataset.json", {"folder": f"../datasets/{dataset.name}"})
    _stages(run, dice, manifest.fingerprint, recipe)
    bundle = run / "bundle"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(b"onnx" * 100)
    provenance = {"recipe_fingerprint": recipe.fingerprint, "checkpoint_sha256": "c" * 64}
    write_json(bundle / "bundle.json", {"files": {"model.onnx": sha256_file(bundle / "model.onnx")}, "provenance": provenance})
    pq.write_table(pa.Table.from_pylist([{k: v for k, v in r.items() if k != "image"} for r in rows]), run / "samples.parquet")
    card = _scorecard(rows, manifest, sha256_file(bundle / "bundle.json"))
    card.write(run / "scorecard.json")
    _verdict(card, outcome).write(run / "verdict.json")
    for i, (step, seconds) in enumerate(SECONDS.items()):
        write_json(
            run / "steps" / f"{step}.json",
            {"name": step, "inputs": str(i), "outputs": {}, "seconds": seconds, "summary": f"{step}: done"},
        )
    return run


ENVIRONMENT = {
    "started": "2026-11-20T23:15:00+00:00",
    "python": "3.11.7",
    "system": "Linux-6.8.0-x86_64-with-glibc2.36",
    "processor": "AMD EPYC 7763 64-Core Processor",
    "cpus": 2,
    "packages": {
        "glyphyard": "0.1.0",
        "torch": "2.15.0",
        "ray": "2.60.0",
        "numpy": "2.3.4",
        "onnxruntime-gpu": "1.31.1",
        "mlflow": "3.17.2",
    },
    "command": "glyphyard run recipes/florida_crnn.yaml --set stages.0.epochs=14",
}
SECONDS = {"prepare": 21.4, "train-synthetic": 131.8, "train-mixed": 64.2, "export": 6.1, "evaluate": 3.9, "gate": 0.02}


def fake_recipe() -> Recipe:
    """Return a recipe of two stages with a suite beside it."""
    sources = [
        {"kind": "synthetic_plates", "name": "made", "count": 6000},
        {"kind": "synthetic_plates", "name": "held", "count": 1000, "seed": 2},
    ]
    thresholds = [{"metric": "cer", "below": 0.05}, {"metric": "exact_match", "above": 0.85}]
    recipe = Recipe.model_validate(
        {
            "name": "florida_crnn",
            "description": "Florida plates, from the camera's crop to the text",
            "task": "recognition",
            "dataset": {"sources": sources},
            "stages": [{"name": "synthetic", "epochs": 14, "lr": 2e-3}, {"name": "mixed", "epochs": 6, "lr": 5e-4}],
            "evaluate": {"suite": "evals/suites/florida_plates.yaml"},
            "register": {"tracking_uri": "http://anna:s3cret@mlflow:5000"},
        }
    )
    suite = {"name": "florida_plates", "thresholds": thresholds, "equivalences": ["0O"]}
    return recipe.model_copy(update={"suite": SuiteConfig.model_validate(suite)})


def _sample(i: int, dice: random.Random) -> dict[str, object]:
    text = "".join(dice.choice(ALPHABET[10:]) for _ in range(3)) + "".join(
        dice.choice(ALPHABET[:10]) for _ in range(dice.choice((3, 3, 4)))
    )
    light = dice.choice(("day", "day", "night", "infrared"))
    read, hard = text, dice.random() < {"day": 0.06, "night": 0.16, "infrared": 0.10}[light]
    if hard:
        at = dice.randrange(len(text))
        read = text[:at] + dice.choice((dice.choice(SIMILAR.get(text[at], "7X")), "", text[at] * 2)) + text[at + 1 :]
    if hard and dice.random() < 0.2:
        read = read[: dice.randrange(len(read))]
    confidence = min(0.9999, max(0.05, dice.gauss(0.62 if hard else 0.965, 0.2 if hard else 0.04)))
    truth, exact = text.replace("O", "0"), text.replace("O", "0") == read.replace("O", "0")
    edits = 0 if exact else count_texts([(truth, read.replace("O", "0"))]).edits
    return {
        "id": i, "path": f"crops/cam{i % 3}/track{i:04d}.jpg", "line": i + 1, "source": ("made", "held")[i % 2], "group": text,
        "truth": text, "read": read, "confidence": confidence, "edits": edits, "exact": exact,
        "meta": json.dumps({"light": light}), "image": plate_image(text, light, dice, hard),
    }  # fmt: skip


def plate_image(text: str, light: str, dice: random.Random, hard: bool) -> bytes:
    """Return a JPEG of something like a plate."""
    image = np.full((60, 150, 3), (228, 232, 226), np.uint8)
    cv2.rectangle(image, (3, 3), (146, 56), (120, 70, 30), 2)
    cv2.circle(image, (75, 28), 7, (60, 150, 245), -1)
    cv2.putText(image, text[:3], (10, 42), cv2.FONT_HERSHEY_DUPLEX, 0.86, (60, 90, 30), 2, cv2.LINE_AA)
    cv2.putText(image, text[3:], (86, 42), cv2.FONT_HERSHEY_DUPLEX, 0.78, (60, 90, 30), 2, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((75, 30), dice.uniform(-6, 6), 1)
    image = cv2.warpAffine(image, turn, (150, 60), borderValue=(70, 75, 80))
    if light != "day":
        image = (image * (0.45 if light == "night" else 0.8)).astype(np.uint8)
    if light == "infrared":
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    noise = np.random.default_rng(dice.randrange(1 << 30)).normal(0, 9, image.shape)
    image = np.clip(cv2.GaussianBlur(image, (0, 0), 2.0 if hard else 0.7) + noise, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])


def _dataset(folder: Path, rows: list[dict[str, object]], recipe: Recipe) -> DatasetManifest:
    folder.mkdir(parents=True)
    shard = {name: [r[name] for r in rows] for name in ("id", "source", "group", "path", "line", "meta")}
    shard |= {
        "text": [r["truth"] for r in rows],
        "encoded": [r["image"] for r in rows],
        "pixels": [b"\x80" * 32 * 128] * len(rows),
    }
    pq.write_table(pa.table(shard), folder / "test-00000.parquet")
    splits = {
        "train": SplitRecord(5214, 5203, "a" * 64, []),
        "validation": SplitRecord(702, 700, "b" * 64, []),
        "test": SplitRecord(len(rows), len(rows), "e" * 64, [Shard("test-00000.parquet", len(rows), "0" * 64)]),
    }
    pixels = {"height": 32, "width": 128, "channels": 1, "interpolation": "linear"}
    manifest = DatasetManifest(
        folder.name, ALPHABET, {"O": "0"}, pixels, ["made", "held"], splits, 2, {"opencv-python-headless": "5.0.0"}
    )
    manifest.write(folder / "manifest.json")
    place = {"source": "held", "file": "/data/labels.txt", "row": 17}
    findings = [
        {"kind": "unknown_character", "severity": "error", "line": 18, "detail": "Ñ of label 'ÑAB123' are not in the alphabet"}
        | place,
        {"kind": "unreadable_image", "severity": "error", "line": 40, "detail": "crops/x.jpg ends in the middle"} | place,
        {
            "kind": "near_duplicate_across_splits",
            "severity": "warning",
            "line": 55,
            "detail": "looks like crops/cam1/track0003.jpg",
        }
        | place,
    ]
    letters = Counter("".join(str(r["truth"]) for r in rows)) + Counter(ALPHABET)
    counts = {"listed": 6156, "bad": 2, "left_out": 0, "train": 5214, "validation": 702, "test": len(rows)}
    audit = {
        "rows": {"made": counts, "held": counts | {"bad": 0}},
        "counts": {},
        "findings": findings,
        "statistics": {
            "label_lengths": {"6": 4100, "7": 2056},
            "characters": dict(sorted(letters.items())),
            "characters_never_seen": ["Q"],
        },
    }
    write_json(folder / "audit.json", audit)
    return manifest


def _stages(run: Path, dice: random.Random, dataset: str, recipe: Recipe) -> None:
    start = 3.4
    for index, stage in enumerate(recipe.stages):
        folder, epochs = run / "stages" / f"{index}-{stage.name}", stage.epochs or 1
        folder.mkdir(parents=True)
        lines = []
        for epoch in range(1, epochs + 1):
            left = math.exp(-epoch / epochs * (3.4 if index == 0 else 1.1))
            loss = start * left * dice.uniform(0.92, 1.08)
            lines.append({
                "epoch": epoch, "lr": stage.lr * math.sin(math.pi * min(1, (epoch + 0.4) / (epochs + 0.6))) ** 1.3, "train_loss": loss,
                "val_loss": loss * 1.2 + 0.03, "val_cer": min(1, loss / 3), "val_exact_match": max(0, 1 - loss * 1.1), "crops_per_s": 205.0,
            })  # fmt: skip
        start = lines[-1]["train_loss"]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        best = {"cer": lines[-2]["val_cer"], "exact_match": lines[-2]["val_exact_match"], "loss": lines[-2]["val_loss"]}
        seconds = SECONDS[f"train-{stage.name}"]
        record = CheckpointRecord(
            stage.name, f"stages/{folder.name}/best.pt", "c" * 64, None, recipe.fingerprint, dataset, epochs - 1, best, seconds
        )
        record.write(folder / "checkpoint.json")


def _figures(rows: list[dict[str, object]]) -> dict[str, Figure]:
    counts = count_texts((str(r["truth"]).replace("O", "0"), str(r["read"]).replace("O", "0")) for r in rows)

    def figure(value: float, count: int) -> Figure:
        half = 1.96 * math.sqrt(max(value * (1 - value), 1e-4) / max(1, count))
        return Figure(value, max(0.0, value - half), min(1.0, value + half), count)

    return {
        "cer": figure(counts.cer, counts.characters),
        "exact_match": figure(counts.exact_match, counts.samples),
        "length_accuracy": figure(counts.length_accuracy, counts.samples),
    }


def _scorecard(rows: list[dict[str, object]], manifest: DatasetManifest, bundle_sha256: str) -> Scorecard:
    counts = count_texts((str(r["truth"]).replace("O", "0"), str(r["read"]).replace("O", "0")) for r in rows)
    slices: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        for key in (
            f"light={json.loads(str(row['meta']))['light']}",
            f"source={row['source']}",
            f"length={len(str(row['truth']))}",
        ):
            slices.setdefault(key, []).append(row)
    ordered = sorted(rows, key=lambda r: -float(str(r["confidence"])))
    edges = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
    bins = []
    for low, high in itertools.pairwise(edges):
        if here := [r for r in rows if low <= float(str(r["confidence"])) < high]:
            means = {
                "confidence": sum(float(str(r["confidence"])) for r in here) / len(here),
                "exact_match": sum(bool(r["exact"]) for r in here) / len(here),
            }
            bins.append({"low": low, "high": high, "count": float(len(here))} | means)
    curve = [
        {"threshold": float(str(r["confidence"])), "coverage": (i + 1) / len(rows), "count": float(i + 1),
         "precision": sum(bool(x["exact"]) for x in ordered[: i + 1]) / (i + 1)}
        for i, r in enumerate(ordered)
    ]  # fmt: skip
    return Scorecard(
        suite="florida_plates", dataset_fingerprint=manifest.fingerprint, split="test", split_sha256="e" * 64, bundle_sha256=bundle_sha256,
        samples=len(rows), groups=len(rows), confidence=0.95, figures=_figures(rows), slices={k: _figures(v) for k, v in slices.items()},
        confusion=[[a, b, n] for (a, b), n in sorted(counts.confusion.items())], calibration=bins, reject_curve=curve,
        speed={"crops_per_s": 412.0, "batch_size": 64.0, "threads": 1.0, "ms_per_crop_p50": 3.1, "ms_per_crop_p95": 4.4},
    )  # fmt: skip


def _verdict(card: Scorecard, outcome: str) -> Verdict:
    findings = []
    for metric, words, side, threshold in (("cer", "CER", "<", 0.05), ("exact_match", "exact match", ">", 0.85)):
        figure = card.figures[metric]
        said = f"{words} {side} {threshold}: {figure.value:.2%} [{figure.low:.2%}, {figure.high:.2%}] at 0.95 on {card.samples} plates"
        findings.append(
            Finding(f"{words} {side} {threshold}", outcome, figure.value, figure.low, figure.high, threshold, figure.count, said)
        )
    digest = sha256_bytes(canonical_json(card.to_json()).encode())
    return Verdict(
        outcome,
        card.suite,
        findings,
        "all 2 bounds hold" if outcome == "PASS" else "; ".join(f.message for f in findings),
        digest,
    )


if __name__ == "__main__":  # to look at: python tests/report/conftest.py FOLDER
    import sys

    from glyphyard.report import write_report

    print(write_report(fake_run(Path(sys.argv[1]))))
