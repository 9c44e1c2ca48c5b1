"""Evaluation over many Ray workers: each reads a run of whole batches, so every crop stands in the batch it would stand in alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from glyphyard.core.errors import GlyphyardError, StepFailed
from glyphyard.core.records import SplitRecord
from glyphyard.evaluation.measure import Reader
from glyphyard.evaluation.samples import Sample, read_samples


def reader_on_ray(workers: int) -> Reader:
    """Return a reader that shares a split out among `workers` Ray tasks; the samples are those of one process, to the last digit.

    Ray has to be connected. Bundle and dataset have to lie where the workers find them.
    """

    def read(bundle: Path, dataset: Path, split: SplitRecord, batch_size: int, threads: int | None) -> list[Sample]:
        import ray

        ranges = shares(split.rows, batch_size, workers)
        task = ray.remote(_read_range).options(num_cpus=threads or 1, max_retries=1)
        record = split.to_json()
        waiting = [task.remote(str(bundle), str(dataset), record, batch_size, threads, *each) for each in ranges]
        try:
            parts = ray.get(waiting)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, GlyphyardError):
                raise cause from error
            raise StepFailed(
                "evaluate", f"a Ray worker broke ({' '.join(str(error).split())[-300:]})", "see the Ray logs"
            ) from error
        return [sample for part in parts for sample in part]

    return read


def shares(rows: int, batch_size: int, workers: int) -> list[tuple[int, int]]:
    """Return consecutive ranges of rows, one a worker that gets any, cut only between batches."""
    batches = -(-rows // batch_size)
    cuts = [batches * worker // workers for worker in range(workers + 1)]
    return [(a * batch_size, min(rows, b * batch_size)) for a, b in pairwise(cuts) if a < b]


def _read_range(
    bundle: str, dataset: str, split: dict[str, Any], batch_size: int, threads: int | None, start: int, stop: int
) -> list[Sample]:
    import cv2

    from glyphyard.edge.recognizer import Recognizer

    cv2.setNumThreads(1)
    record = SplitRecord.from_json(split, "the split to read")
    recognizer = Recognizer(Path(bundle), threads=threads)
    return list(read_samples(recognizer, Path(dataset), record, batch_size, start, stop))
