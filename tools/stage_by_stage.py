"""What each stage of a run is worth: its best weights as a bundle, measured on the run's held-out split, one row a stage.

    .venv/bin/python tools/stage_by_stage.py runs/lpsr_us_plates-…             # every stage that has been trained
    .venv/bin/python tools/stage_by_stage.py RUN OTHER_RUN --stage lcofl       # one stage of several runs, side by side
    .venv/bin/python tools/stage_by_stage.py RUN --out stages                  # keep bundles, samples and pictures

`p` is that of the words read against those of the row above (McNemar's exact test over plates).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from glyphyard.core.records import Scorecard
from glyphyard.evaluation.catalogue import SAMPLES, evaluation_of, figure_of
from glyphyard.evaluation.held_out import manifest_path
from glyphyard.evaluation.paired import exact_match_difference
from glyphyard.evaluation.samples import load_samples
from glyphyard.evaluation.words import label
from glyphyard.export.catalogue import exporter_of
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.store import DEFAULT_STORE, open_run, recipe_of
from glyphyard.recipe.load import load_suite
from glyphyard.recipe.suite import REPORTED

BEST = "best.pt"
Readings = tuple[np.ndarray, np.ndarray]  # of each crop whether its word was read right, and its group


def trained_stages(run: Run, wanted: str | None) -> Iterator[int]:
    """Yield the numbers of the stages that are done, or of the one that is wanted."""
    for index, stage in enumerate(run.recipe.stages):
        if (run.stage_dir(index) / "checkpoint.json").is_file() and wanted in (None, stage.name):
            yield index


def measured(run: Run, index: int, folder: Path, say) -> Scorecard:
    """Export a stage's best weights to `folder` and measure them there."""
    bundle = folder / "bundle"
    exporter_of(run.recipe.task)(run.recipe, run.stage_dir(index) / BEST, run.dataset, bundle, say)
    known = manifest_path(run.recipe.evaluate.suite)
    return evaluation_of(run.recipe.task).measure(bundle, run.dataset, run.suite, folder, say=say, known=known)


def readings(place: Path) -> Readings | None:
    """Return which words were read right, and the group of each; None where a task reads none."""
    samples = place / SAMPLES
    if not samples.is_file():
        return None
    exact = pq.read_table(samples, columns=["exact"])["exact"].to_numpy()
    return exact, np.array([sample.group for sample in load_samples(samples)])


def p_value(above: Readings | None, read: Readings | None) -> str:
    """Return McNemar's p of two rows, "" where there is nothing to compare."""
    if above is None or read is None:
        return ""
    return f"{exact_match_difference(above[0], *read, 0.95, 1000, 0).p_value:.3g}"


def table_of(runs: Sequence[Run], wanted: str | None, folder: Path, say) -> Table:
    """Return a row for each stage of each run."""
    task = runs[0].recipe.task
    names = [name for name in evaluation_of(task).headline if name in REPORTED[task]]
    table = Table("run", "stage", *(label(name) for name in names), "p", title="on the held-out split")
    above: Readings | None = None
    for run in runs:
        for index in trained_stages(run, wanted):
            stage = run.recipe.stages[index].name
            place = folder / f"{run.folder.name}-{stage}"
            place.mkdir(parents=True, exist_ok=True)
            card = measured(run, index, place, say)
            read = readings(place)
            table.add_row(run.folder.name, stage, *(figure_of(card, name) for name in names), p_value(above, read))
            above = read
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--stage", metavar="NAME", help="this stage only")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where bundles and samples are kept")
    arguments = parser.parse_args()
    console, runs = Console(width=200), []
    for name in arguments.runs:
        folder = open_run(name, DEFAULT_STORE)
        recipe = recipe_of(folder)
        if recipe.suite is None:
            recipe = recipe.model_copy(update={"suite": load_suite(recipe.evaluate.suite)})
        runs.append(Run(recipe, folder, folder.parent, console))
    with tempfile.TemporaryDirectory(prefix="glyphyard-stages-") as temporary:
        out = arguments.out or Path(temporary)
        console.print(table_of(runs, arguments.stage, out, lambda line: None))


if __name__ == "__main__":
    main()
