"""Resident ingest ÷ torch DataLoader with per-sample OpenCV augmentation: augmented samples a second, same cores.

    .venv/bin/python tools/bench/bench_ingest.py [CORES]

Two baselines: crops read from files as a training script does (read, resize, augment, stack), and crops that already
lie in memory at their final size (augment, stack), which is the kindest one can be to a per-sample loop. The DataLoader
gets the better of no worker and as many workers as cores. One core each unless told: the others belong to the training step. All run in turns; the median turn counts.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from glyphyard.core.pixels import PixelContract
from glyphyard.data.augment import augment
from glyphyard.data.synth import render_plate
from glyphyard.recipe.augmentation import AugmentationConfig

ROWS, BATCH, TURNS = 2048, 32, 5
PIXELS, CONFIG = PixelContract(), AugmentationConfig()


class PerSample(Dataset[tuple[torch.Tensor, int]]):
    """Crops augmented one by one with OpenCV, by the same recipe: rotation, brightness, contrast, blur."""

    def __init__(self, read: Callable[[int], np.ndarray], rows: int) -> None:
        self.read, self.rows, self.dice = read, rows, np.random.default_rng(0)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self.read(index)
        turn, bright, contrast, blur = self.dice.uniform(-1, 1, 4)
        size = (PIXELS.width, PIXELS.height)
        matrix = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), CONFIG.rotate_deg * turn, 1)
        image = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        values = image.astype(np.float32) * (1 + CONFIG.brightness * bright)
        mean = values.mean()
        values = np.clip((values - mean) * (1 + CONFIG.contrast * contrast) + mean, 0, 255)
        values = cv2.GaussianBlur(values, (5, 5), max(0.05, CONFIG.blur_sigma_px * (blur + 1) / 2))
        return torch.from_numpy(values[None] / 255), index


def loader_rate(dataset: PerSample, workers: int) -> float:
    """Return samples/s of one epoch of a DataLoader, its start included only where it has workers that stay."""
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    for _ in loader:  # the first epoch starts the workers
        pass
    started = time.perf_counter()
    for _ in loader:
        pass
    return len(dataset) / (time.perf_counter() - started)


def resident_rate(images: torch.Tensor) -> float:
    """Return samples/s of one epoch of index permutation and whole-batch augmentation."""
    dice = torch.Generator().manual_seed(0)
    started = time.perf_counter()
    for index in torch.randperm(len(images)).split(BATCH):
        augment(images.index_select(0, index), CONFIG, dice)
    return len(images) / (time.perf_counter() - started)


def measure(turns: int = TURNS, cores: int = 1, say: Callable[[str], None] = print) -> dict[str, float]:
    """Run all in turns and return resident ÷ each baseline."""
    torch.set_num_threads(cores)
    cv2.setNumThreads(1)  # in the per-sample loop OpenCV's threads only get in each other's way
    crops = [render_plate(1, i).image_bgr for i in range(ROWS)]
    resized = np.stack([PIXELS.resize(crop) for crop in crops])
    with tempfile.TemporaryDirectory(prefix="glyphyard-bench-") as name:
        paths = [str(Path(name) / f"{i}.jpg") for i in range(ROWS)]
        for path, crop in zip(paths, crops):
            cv2.imwrite(path, crop)

        def from_file(index: int) -> np.ndarray:
            return PIXELS.resize(cv2.imread(paths[index], cv2.IMREAD_GRAYSCALE))

        baselines = {"files": PerSample(from_file, ROWS), "memory": PerSample(lambda i: resized[i], ROWS)}
        rates: dict[str, list[float]] = {"resident": [], "files": [], "memory": []}
        for _ in range(turns):
            rates["resident"].append(resident_rate(torch.from_numpy(resized)))
            for kind, dataset in baselines.items():
                rates[kind].append(max(loader_rate(dataset, workers) for workers in ({0, cores} if cores > 1 else {0})))
    middle = {kind: statistics.median(values) for kind, values in rates.items()}
    ratios = {kind: middle["resident"] / middle[kind] for kind in baselines}
    for kind, ratio in ratios.items():
        wanted = " (wanted: 3)" if kind == "files" else ""
        say(
            f"ingest: resident {middle['resident']:.0f} samples/s ÷ DataLoader from {kind} {middle[kind]:.0f} samples/s = {ratio:.2f}{wanted}"
        )
    return ratios


if __name__ == "__main__":
    measure(cores=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
