"""A TensorRT engine before the same gate as any model: the suite's held-out set, read through the engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from glyphyard.core.records import SplitRecord
from glyphyard.edge.engines import Judged
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.session import Session
from glyphyard.evaluation.gate import judge
from glyphyard.evaluation.measure import measure
from glyphyard.evaluation.samples import Sample, read_samples
from glyphyard.recipe.suite import SuiteConfig


def engine_judge(
    bundle: Path, dataset: Path, suite: SuiteConfig, say: Callable[[str], None] = print
) -> Callable[[Session], Judged]:
    """Return what measures an engine of `bundle` on the suite's split of a prepared dataset; see `edge.engine_build.build`."""

    def judged(session: Session) -> Judged:
        def reader(path: Path, folder: Path, split: SplitRecord, batch_size: int, threads: int | None) -> list[Sample]:
            return list(read_samples(Recognizer(path, session=session), folder, split, batch_size))

        with tempfile.TemporaryDirectory(prefix="glyphyard-engine-") as out:
            card = measure(bundle, dataset, suite, Path(out), say=say, reader=reader)
        verdict = judge(card, suite)
        say(f"engine: suite {suite.name}: {verdict.outcome}; {verdict.message}")
        return Judged(verdict.outcome, suite.name, {name: figure.value for name, figure in card.figures.items()})

    return judged
