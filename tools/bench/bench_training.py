"""Training throughput through a launcher ÷ a bare PyTorch loop with the same network, augmentation and batches.

    .venv/bin/python tools/bench/bench_training.py              # through Ray Train, one worker
    .venv/bin/python tools/bench/bench_training.py --in-process # the loop alone, without Ray

Both run in turns on the same machine and threads; the first epoch of each turn warms up and does not count. What a
launcher needs to start is not in the ratio; it is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from glyphyard.core.records import CheckpointRecord
from glyphyard.data.augment import augment
from glyphyard.data.prepare import prepare
from glyphyard.data.resident import ResidentSplit, load_resident
from glyphyard.nn.losses import ctc_loss
from glyphyard.recipe.recipe import Recipe
from glyphyard.tasks.recognition.task import Recognition
from glyphyard.training.job import StageJob

ROWS, BATCH, EPOCHS, TURNS = 1200, 32, 3, 4

Launch = Callable[[StageJob], CheckpointRecord]


def bench_recipe() -> Recipe:
    """Return the guide's network on synthetic plates, one term of loss, nothing that costs time beside the steps."""
    return Recipe.model_validate(
        {
            "name": "bench",
            "task": "recognition",
            "dataset": {
                "sources": [{"kind": "synthetic_plates", "name": "synthetic", "count": ROWS + 100}],
                "split": {"validation": 0.05, "test": 0.0},
            },
            "stages": [{"epochs": EPOCHS, "batch_size": BATCH, "lr": 1e-3, "losses": [{"term": "ctc"}]}],
            "evaluate": {"suite": "none.yaml"},
        }
    )


def bare_rates(recipe: Recipe, rows: ResidentSplit) -> list[float]:
    """Return crops/s of each epoch of the loop that anyone would write first."""
    task = Recognition(recipe)
    model, targets = task.build()["model"].train(), task.targets(rows.texts)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    dice, rates = torch.Generator().manual_seed(1), []
    for _ in range(EPOCHS):
        started, batches = time.perf_counter(), torch.randperm(len(rows)).split(BATCH)
        for index in batches:
            images = augment(rows.images.index_select(0, index), recipe.augmentation, dice)
            loss = ctc_loss(model(images), targets["labels"][index], targets["lengths"][index])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        rates.append(len(rows) / (time.perf_counter() - started))
    return rates


def launched_rates(recipe: Recipe, dataset: Path, folder: Path, launch: Launch) -> tuple[list[float], float]:
    """Return crops/s of each epoch as the loop itself reports it, and the seconds that the launch cost beside the stage."""
    started = time.perf_counter()
    record = launch(StageJob(recipe, 0, dataset, folder))
    overhead_s = time.perf_counter() - started - record.seconds
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["crops_per_s"] for row in rows], overhead_s


def measure(launch: Launch, turns: int = TURNS, say: Callable[[str], None] = print) -> float:
    """Run both in turns and return the median of the turns' ratios, launched ÷ bare: the machine's mood is that of a turn."""
    recipe = bench_recipe()
    ratios: list[float] = []
    overheads: list[float] = []
    with tempfile.TemporaryDirectory(prefix="glyphyard-bench-") as name:
        dataset = prepare(recipe.dataset, recipe.model.capacity(recipe.dataset.image.width), Path(name), in_process=True)
        rows = load_resident(dataset, "train")
        for turn in range(turns):
            bare = bare_rates(recipe, rows) if turn % 2 == 0 else []  # which of them comes first changes with the turn
            launched, overhead_s = launched_rates(recipe, dataset, Path(name) / f"stage-{turn}", launch)
            bare, overheads = bare or bare_rates(recipe, rows), [*overheads, overhead_s]
            mine, other = statistics.mean(launched[1:]), statistics.mean(bare[1:])
            ratios.append(mine / other)
            say(f"  turn {turn + 1}: launched {mine:.0f} crops/s ÷ bare {other:.0f} crops/s = {mine / other:.2f}")
    ratio = statistics.median(ratios)
    say(f"training: launched ÷ bare = {ratio:.2f}, the median of {turns} turns (wanted: 0.95)")
    say(f"          starting and ending cost {statistics.median(overheads):.1f} s a stage beside that")
    return ratio


def _in_process(job: StageJob) -> CheckpointRecord:
    from glyphyard.training.loop import train_stage
    from glyphyard.training.ranks import SingleRank

    return train_stage(job, SingleRank())


@contextmanager
def launcher(in_process: bool) -> Iterator[Launch]:
    """Yield what starts a stage."""
    if in_process:
        yield _in_process
        return
    from glyphyard.cluster.session import connected
    from glyphyard.cluster.train import train_on_ray

    with connected(cpus=os.cpu_count()):
        yield train_on_ray


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--turns", type=int, default=TURNS)
    arguments = parser.parse_args()
    with launcher(arguments.in_process) as launch:
        measure(launch, arguments.turns)


if __name__ == "__main__":
    main()
