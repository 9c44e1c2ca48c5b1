"""How fast a bundle is: what every scorecard says of it, in the same words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

Call = Callable[[np.ndarray], object]


def rates(crops: int, seconds: float, batch_size: int, threads: int | None) -> dict[str, float]:
    """Return how many crops a second were read in batches."""
    return {"crops_per_s": crops / seconds, "batch_size": float(batch_size), "threads": float(threads or 1)}


def latency(call: Call, images: Sequence[np.ndarray], warm_up: int) -> dict[str, float]:
    """Return the median and the 95th percentile of one call with one decoded image, after `warm_up` calls, in milliseconds."""
    for image in images[:warm_up]:
        call(image)
    times_ms = []
    for image in images:
        started = time.perf_counter()
        call(image)
        times_ms.append((time.perf_counter() - started) * 1e3)
    return percentiles(times_ms)


def one_by_one(times_ms: Sequence[float], warm_up: int, most: int, threads: int | None) -> dict[str, float]:
    """Return the figures of images that were looked at one by one: the first `warm_up` do not count, nor those after `most`."""
    found = percentiles(list(times_ms[warm_up : warm_up + most]) or list(times_ms))
    return found | rates(1, found["ms_per_crop_p50"] / 1e3, 1, threads)


def percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of what one image took, in milliseconds."""
    p50, p95 = (float(value) for value in np.percentile(times_ms, (50, 95)))
    return {"ms_per_crop_p50": p50, "ms_per_crop_p95": p95}
