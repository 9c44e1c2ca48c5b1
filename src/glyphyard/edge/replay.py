"""An engine against the golden vectors: the same strings, and numbers within tolerance, at every batch that has failed before."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glyphyard.core.agreement import difference
from glyphyard.core.decoding import decoder_of
from glyphyard.core.errors import StepFailed
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.session import Session

WARM_UP, RUNS, BUDGET_S = 10, 300, 3.0
REMEDY = "this TensorRT does not run the model faithfully: try another precision, and tell us (docs/edge.md)"


@dataclass(frozen=True)
class Replayed:
    """What was compared: the batch sizes, how many strings, and the largest difference of the numbers."""

    batches: list[int]
    strings: int
    max_abs_difference: float


def replay(session: Session, bundle: Bundle, sizes: Sequence[int], tolerance: float, most_runs: int | None = None) -> Replayed:
    """Read the golden crops at each batch size; a string or a number that differs is a `StepFailed` with batch and crop.

    All of them at each size, or with `most_runs` (where a run is a process) all at the largest and some at the others.
    """
    golden, decode = bundle.golden(), decoder_of(bundle.manifest.decode.method)
    count, compared, worst = len(golden.texts), 0, 0.0
    for size in sizes:
        starts = range(0, count, size)
        for start in starts if size == max(sizes) else starts[:most_runs]:
            rows = np.arange(start, start + size) % count  # the last batch is filled up from the beginning
            found = session.run(bundle.pixels.batch([golden.images[row] for row in rows]))
            expected = golden.logits[:, rows]
            if found.shape != expected.shape:
                raise StepFailed(f"engine replay, batch {size}", f"gives {found.shape}, expected {expected.shape}", REMEDY)
            texts, apart = [reading.text for reading in decode(found, bundle.alphabet)], difference(expected, found)
            for at, row in enumerate(rows):
                where = f"engine replay, batch {size}, golden crop {row}"
                if texts[at] != golden.texts[row]:
                    raise StepFailed(where, f"reads {texts[at]!r}, expected {golden.texts[row]!r}", REMEDY)
                if apart[at] > tolerance:
                    raise StepFailed(where, f"differs by {apart[at]:.2e}, more than the {tolerance:g} allowed", REMEDY)
            compared, worst = compared + size, max(worst, float(apart.max()))
    return Replayed(list(sizes), compared, worst)


def time_session(session: Session, shape: Sequence[int], sizes: Sequence[int]) -> list[dict[str, float]]:
    """Time calls of a session with noise of (channels, height, width) at each batch size; see `speed_row`."""
    dice = np.random.default_rng(0)
    rows = []
    for size in sizes:
        batch = dice.random((size, *shape), dtype=np.float32)
        rows.append(speed_row(size, np.asarray(_times_ms(lambda batch=batch: session.run(batch)))))  # type: ignore[misc,arg-type]
    return rows


def _times_ms(call: Callable[[], object]) -> list[float]:
    for _ in range(WARM_UP):
        call()
    times, until = list[float](), time.perf_counter() + BUDGET_S
    while len(times) < RUNS and (time.perf_counter() < until or len(times) < 3):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1e3)
    return times


def speed_row(size: int, times_ms: np.ndarray) -> dict[str, float]:
    """Return latency percentiles in milliseconds and throughput at the median, of one batch size."""
    p50, p95, p99 = (round(float(v), 4) for v in np.percentile(times_ms, (50, 95, 99)))
    return {"batch": float(size), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "crops_per_s": round(size / p50 * 1e3, 1)}
