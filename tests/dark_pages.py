"""Pages with dark squares, and a detector that finds exactly those: no training, every box and score decided by the test.

A page is 96×128 px, white, with dark squares on a grid of 16 px. On the detector's canvas of 64×64 px it lies at half its
size, 8 px from the left; the detector's graph looks at cells of 8×8 px, and a cell's score is how dark it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.files import sha256_bytes
from glyphyard.core.letterbox import Letterbox
from glyphyard.edge.detector import DetectorManifest
from glyphyard.edge.golden import GoldenCanvases, pack_canvases
from glyphyard.edge.manifest import GOLDEN, MANIFEST, MODEL, SCHEMA_VERSION
from glyphyard.edge.session import OnnxSession
from glyphyard.recipe.recipe import Recipe

WIDTH, HEIGHT, CELL = 96, 128, 16
CANVAS = Letterbox(64, 64)
Place = tuple[int, int]  # column, row of the grid


def box(place: Place) -> list[float]:
    """Return the corners of a grid's square in pixels of the page."""
    x, y = place[0] * CELL, place[1] * CELL
    return [float(x), float(y), float(x + CELL), float(y + CELL)]


def page(places: Sequence[Place], greys: Sequence[int] | None = None) -> np.ndarray:
    """Return a page (128,96,3) with squares at `places`, black, or of the greys given."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for k, (column, row) in enumerate(places):
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = greys[k] if greys else 0
    return image


def score_of(grey: int) -> float:
    """Return the detector's score of a square of this grey."""
    return max(0.0, (0.4 - grey / 255) / 0.4)


def dark_onnx(classes: int = 1) -> bytes:
    """Return the detector's graph: mean of each cell of 8×8 px → (N, 4 + classes, 64); all classes score alike but for a hair."""
    from onnx import TensorProto, checker, helper, numpy_helper

    side = CANVAS.width // 8
    y, x = np.meshgrid(np.arange(side) * 8 + 4, np.arange(side) * 8 + 4, indexing="ij")
    cells = np.stack([x.ravel(), y.ravel(), np.full(side**2, 8), np.full(side**2, 8)]).astype(np.float32)[None]
    falling = (1 - 0.01 * np.arange(classes, dtype=np.float32)).reshape(1, classes, 1)
    constants = {
        "cells": cells,
        "shape": np.array([0, 1, side**2], np.int64),
        "white": np.float32(0.4),
        "gain": np.float32(1 / 0.4),
        "low": np.float32(0),
        "high": np.float32(1),
        "nothing": np.float32(0),
        "falling": falling,
        "axes": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["input"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("ReduceMean", ["blocks", "axes"], ["grey"], keepdims=1),
        helper.make_node("Reshape", ["grey", "shape"], ["row"]),
        helper.make_node("Sub", ["white", "row"], ["dark"]),
        helper.make_node("Mul", ["dark", "gain"], ["raw"]),
        helper.make_node("Clip", ["raw", "low", "high"], ["score"]),
        helper.make_node("Mul", ["score", "nothing"], ["zero"]),
        helper.make_node("Add", ["cells", "zero"], ["boxes"]),
        helper.make_node("Mul", ["score", "falling"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["output"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dark",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 64, 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 4 + classes, side**2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def write_finder(folder: Path, classes: Sequence[str] = ("handwriting",), confidence: float = 0.5) -> Path:
    """Write the bundle of the detector of dark squares and return its folder."""
    from glyphyard.core.yolo import BoxRule, decode_yolo

    folder.mkdir(parents=True)
    model = dark_onnx(len(classes))
    canvas, _ = CANVAS.fit(page([(1, 1), (3, 4)]))
    found = decode_yolo(OnnxSession(model, MODEL).run(CANVAS.batch([canvas])), len(classes), BoxRule(confidence))
    packed = {MODEL: model, GOLDEN: pack_canvases(GoldenCanvases(np.stack([canvas]), found))}
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    files = {name: sha256_bytes(content) for name, content in packed.items()}
    DetectorManifest(
        SCHEMA_VERSION, "dark", "detection", CANVAS.to_json(), list(classes), confidence, 0.7, 300, files, {"recipe": "dark"}
    ).write(folder / MANIFEST)
    return folder


def write_pages(folder: Path, sides: dict[str, list[list[Place]]], greys: dict[str, list[list[int]]] | None = None) -> Path:
    """Write a YOLO folder with a page for each list of places, by side (train, val, test); return it."""
    for side, pages in sides.items():
        for kind in ("images", "labels"):
            (folder / kind / side).mkdir(parents=True)
        for i, places in enumerate(pages):
            image = page(places, greys[side][i] if greys and side in greys else None)
            image[0, 0] = (i, len(side), 255)  # no two pages are the same file
            cv2.imwrite(str(folder / "images" / side / f"{side}{i:02d}.png"), image)
            lines = [
                f"0 {(x + 0.5) * CELL / WIDTH:.6f} {(y + 0.5) * CELL / HEIGHT:.6f} {CELL / WIDTH:.6f} {CELL / HEIGHT:.6f}\n"
                for x, y in places
            ]
            (folder / "labels" / side / f"{side}{i:02d}.txt").write_text("".join(lines))
    split = "".join(f"{key}: images/{key}\n" for key in sides)
    (folder / "dataset.yaml").write_text(f"{split}names:\n  0: handwriting\n")
    return folder


def dark_recipe(folder: Path, stage: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """Return a recipe of a detector on a canvas of 64 px for a folder of `write_pages`; a stage lasts three epochs of three steps."""
    made: dict[str, Any] = {
        "name": "dark",
        "task": "detection",
        "dataset": {"sources": [{"kind": "yolo_folder", "name": "real", "folder": str(folder)}]},
        "model": {"imgsz": 64},
        "stages": [{"epochs": 3, "batch_size": 4, "lr": 2e-3, "select": "loss", "ema_decay": 0.9} | (stage or {})],
        "evaluate": {"suite": "none.yaml"},
    }
    return Recipe.model_validate(made | changes)


def random_places(count: int, seed: int) -> list[list[Place]]:
    """Return some squares for each of `count` pages."""
    dice = np.random.default_rng(seed)
    return [[(int(dice.integers(6)), int(dice.integers(8))) for _ in range(3)] for _ in range(count)]
