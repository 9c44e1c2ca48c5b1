"""Writing a YOLO data set: images/<split>/, labels/<split>/ and dataset.yaml, as ultralytics reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glyphyard.core.boxes import clip, to_centres
from glyphyard.core.files import writing
from glyphyard.recipe.dataset import SPLITS, Split

FOLDERS: dict[Split, str] = {"train": "train", "validation": "val", "test": "test"}


def label_lines(boxes_N4: np.ndarray, classes_N: Sequence[int], width: int, height: int) -> str:
    """Return the label file of one image: `class cx cy w h` in shares, six decimals, one box a line."""
    boxes = clip(np.asarray(boxes_N4, np.float64).reshape(-1, 4), width, height) / [width, height, width, height]
    return "".join(
        f"{label} {' '.join(f'{v:.6f}' for v in row)}\n" for label, row in zip(classes_N, to_centres(boxes), strict=True)
    )


def make_folders(folder: Path) -> None:
    """Make the folders of all splits."""
    for split in SPLITS:
        for kind in ("images", "labels"):
            (folder / kind / FOLDERS[split]).mkdir(parents=True, exist_ok=True)


def put_page(folder: Path, split: Split, name: str, image: bytes, labels: str) -> None:
    """Write one encoded image (its suffix is `name`'s) and its labels; a disk that is full is a `BadInput`."""
    target = folder / "images" / FOLDERS[split] / name
    with writing(target):
        target.write_bytes(image)
        (folder / "labels" / FOLDERS[split] / f"{target.stem}.txt").write_text(labels, encoding="utf-8")


def write_yaml(folder: Path, names: Sequence[str]) -> None:
    """Write dataset.yaml; names are quoted as JSON, which YAML reads too."""
    sides = "".join(f"{key}: images/{value}\n" for key, value in (("train", "train"), ("val", "val"), ("test", "test")))
    classes = "".join(f"  {k}: {json.dumps(name, ensure_ascii=False)}\n" for k, name in enumerate(names))
    # No `path`: ultralytics then starts from this file, where `path: .` would be the folder that it was started in.
    (folder / "dataset.yaml").write_text(f"{sides}names:\n{classes}", encoding="utf-8")
