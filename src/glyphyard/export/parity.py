"""Torch against ONNX Runtime, in numbers and in strings, at the batches where exported LSTMs have been wrong before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from glyphyard.core.agreement import difference
from glyphyard.core.alphabet import Alphabet
from glyphyard.core.ctc import Reading
from glyphyard.core.decoding import ATTENTION, CTC, decoder_of
from glyphyard.core.errors import StepFailed
from glyphyard.core.pixels import PixelContract

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
    method: str = CTC,
) -> Parity:
    """Compare two runners on resized real crops and on noise at batches 1, 2, 3 and `max_batch`.

    The difference is the largest over all probabilities, and over the log-probabilities of classes that either side
    gives at least 0.1 %. Above `tolerance`, not finite, or a string that differs: `StepFailed` with batch and sample.
    Strings of noise are compared where no two classes tie; so are the numbers of a reader that writes one character after
    another, for what it wrote decides what it sees next. `method` is a key of core.decoding.DECODERS.
    """
    worst, compared, decode = 0.0, 0, decoder_of(method)
    for kind, images in (("crop", crops), ("noise", _noise(crops[0], max_batch))):
        for size in sorted({1, 2, 3, max_batch}):
            batch = pixels.batch([images[i % len(images)] for i in range(size)])
            expected, found = reference(batch), exported(batch)
            clear = np.flatnonzero(~_has_tie(expected)) if kind == "noise" else np.arange(size)
            numbers = clear if method == ATTENTION else np.arange(size)
            worst = max(worst, _same_numbers(expected, found, numbers, tolerance, f"batch {size}, {kind}"))
            compared += _same_strings(expected, found, clear, lambda logits: decode(logits, alphabet), f"batch {size}, {kind}")
    return Parity(worst, compared)


def _has_tie(values_TNC: np.ndarray) -> np.ndarray:
    two_best = np.partition(values_TNC, -2, axis=-1)[..., -2:]
    return np.asarray((two_best[..., 1] - two_best[..., 0] < TIE).any(axis=0))


def _noise(like: np.ndarray, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(NOISE_SEED).integers(0, 256, (count, *like.shape), dtype=np.uint8))


def _same_numbers(expected: np.ndarray, found: np.ndarray, samples: np.ndarray, tolerance: float, where: str) -> float:
    if expected.shape != found.shape:
        raise StepFailed(f"parity, {where}", f"torch gives {expected.shape}, the ONNX {found.shape}", REMEDY)
    if not np.isfinite(expected).all() or not np.isfinite(found).all():
        side = "torch" if not np.isfinite(expected).all() else "the ONNX"
        raise StepFailed(f"parity, {where}", f"{side} gives numbers that are not finite", REMEDY)
    differences = np.zeros(expected.shape[1], expected.dtype)
    differences[samples] = difference(expected[:, samples], found[:, samples])
    sample = int(differences.argmax())
    if differences[sample] > tolerance:
        problem = f"torch and the ONNX differ by {differences[sample]:.2e}, more than the {tolerance:g} allowed"
        raise StepFailed(f"parity, {where} {sample}", problem, REMEDY)
    return float(differences[sample])


def _same_strings(
    expected: np.ndarray, found: np.ndarray, samples: np.ndarray, decode: Callable[[np.ndarray], list[Reading]], where: str
) -> int:
    ours, theirs = decode(expected), decode(found)
    for i in samples:
        if ours[i].text != theirs[i].text:
            raise StepFailed(f"parity, {where} {i}", f"torch reads {ours[i].text!r}, the ONNX {theirs[i].text!r}", REMEDY)
    return len(samples)
