"""Torch against ONNX Runtime, in numbers and in strings, at the batches where exported LSTMs have been wrong before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import greedy_decode
from glyphyard.core.errors import StepFailed
from glyphyard.core.pixels import PixelContract

# Below this probability a class is never read, and its logarithm turns rounding (1e-7) into differences that mean nothing.
PROBABLE = 1e-3
TIE = 1e-5  # log-probabilities this close are a coin toss of rounding; noise has such ties, a legible crop has not
NOISE_SEED = 20
REMEDY = "the exported model is not the trained one; nothing was written"
Runner = Callable[[np.ndarray], np.ndarray]  # (N,C,H,W) float32 → log-probabilities (T,N,classes)


@dataclass(frozen=True)
class Parity:
    """How closely two runs agree: the largest difference found and how many strings were compared."""

    max_abs_difference: float
    strings_compared: int


def runner_of(module: torch.nn.Module) -> Runner:
    """Return a function that runs a torch module on numpy batches."""

    def run(batch_NCHW: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(batch_NCHW)).float().numpy()

    return run


def check_parity(
    reference: Runner,
    exported: Runner,
    crops: list[np.ndarray],
    pixels: PixelContract,
    alphabet: Alphabet,
    *,
    max_batch: int,
    tolerance: float,
) -> Parity:
    """Compare two runners on resized real crops and on noise at batches 1, 2, 3 and `max_batch`.

    The difference is the largest over all probabilities, and over the log-probabilities of classes that either side
    gives at least 0.1 %. Above `tolerance`, not finite, or a string that differs: `StepFailed` with batch and sample.
    Strings of noise are compared where no two classes tie.
    """
    worst, compared = 0.0, 0
    for kind, images in (("crop", crops), ("noise", _noise(crops[0], max_batch))):
        for size in sorted({1, 2, 3, max_batch}):
            batch = pixels.batch([images[i % len(images)] for i in range(size)])
            expected, found = reference(batch), exported(batch)
            worst = max(worst, _same_numbers(expected, found, tolerance, f"batch {size}, {kind}"))
            clear = np.flatnonzero(~_has_tie(expected)) if kind == "noise" else np.arange(size)
            compared += _same_strings(expected, found, clear, alphabet, f"batch {size}, {kind}")
    return Parity(worst, compared)


def _has_tie(values_TNC: np.ndarray) -> np.ndarray:
    two_best = np.partition(values_TNC, -2, axis=-1)[..., -2:]
    return np.asarray((two_best[..., 1] - two_best[..., 0] < TIE).any(axis=0))


def _noise(like: np.ndarray, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(NOISE_SEED).integers(0, 256, (count, *like.shape), dtype=np.uint8))


def difference(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the difference of two (T,N,C) log-probabilities per sample: see `check_parity` for what counts."""
    probable = np.maximum(expected, found) >= np.log(PROBABLE)
    in_logarithms = np.where(probable, np.abs(expected - found), 0.0)
    in_probabilities = np.abs(np.exp(expected) - np.exp(found))
    return np.asarray(np.maximum(in_logarithms, in_probabilities).max(axis=(0, 2)))


def _same_numbers(expected: np.ndarray, found: np.ndarray, tolerance: float, where: str) -> float:
    if expected.shape != found.shape:
        raise StepFailed(f"parity, {where}", f"torch gives {expected.shape}, the ONNX {found.shape}", REMEDY)
    if not np.isfinite(expected).all() or not np.isfinite(found).all():
        side = "torch" if not np.isfinite(expected).all() else "the ONNX"
        raise StepFailed(f"parity, {where}", f"{side} gives numbers that are not finite", REMEDY)
    differences = difference(expected, found)
    sample = int(differences.argmax())
    if differences[sample] > tolerance:
        problem = f"torch and the ONNX differ by {differences[sample]:.2e}, more than the {tolerance:g} allowed"
        raise StepFailed(f"parity, {where} {sample}", problem, REMEDY)
    return float(differences[sample])


def _same_strings(expected: np.ndarray, found: np.ndarray, samples: np.ndarray, alphabet: Alphabet, where: str) -> int:
    ours, theirs = greedy_decode(expected, alphabet), greedy_decode(found, alphabet)
    for i in samples:
        if ours[i].text != theirs[i].text:
            raise StepFailed(f"parity, {where} {i}", f"torch reads {ours[i].text!r}, the ONNX {theirs[i].text!r}", REMEDY)
    return len(samples)
