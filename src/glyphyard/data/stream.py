"""Streaming of splits too big to stay in memory: Ray Data reads row groups of the shards, in another order every epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.data.resident import COLUMNS, Outlined, low_shape_of, low_side, pixels_of, split_record
from glyphyard.data.sampling import generator_for, steps_per_epoch
from glyphyard.recipe.stage import SamplingConfig

READERS = 2  # tasks that read ahead for one rank
BUFFER_ROWS = 8192  # rows among which a rank shuffles: 16 row groups


@dataclass(frozen=True)
class StreamBatch:
    """One batch: images (B,H,W) or (B,H,W,3) uint8, texts, ids (B,) int64, sources; `more`: see ResidentSplit."""

    images: torch.Tensor
    texts: list[str]
    ids: torch.Tensor
    sources: list[str]
    more: dict[str, torch.Tensor] = field(default_factory=dict)


class StreamedSplit:
    """A rank's share of a split as batches: row groups are dealt out to the ranks, all take the same number of steps.

    A rank whose rows end before the others' takes its first rows again. In `weighted` mode a row comes
    share × samples ÷ (rows of its source) times, the fraction by chance. The order depends on seed, epoch and rank only.
    """

    def __init__(
        self, folder: Path, split: str, batch_per_rank: int, sampling: SamplingConfig, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.record, self.shape = split_record(folder, split)
        self.batch_per_rank, self.seed, self.rank = batch_per_rank, seed, rank
        self.low_shape, self.outlined = low_shape_of(folder), Outlined.of(folder)
        units = _units(Path(folder), self.record.shards)
        dealt = [units[r::world] for r in range(world)]
        self.units = dealt[rank]
        if not self.units:
            raise BadInput(
                str(folder), f"{split} has {len(units)} row groups for {world} workers", "use fewer workers, or keep it resident"
            )
        self.copies = _copies(Path(folder), split, sampling, self.record.rows)
        most = max(sum(unit["rows"] for unit in share) for share in dealt)
        shuffled = math.ceil(most / batch_per_rank)
        self.steps = steps_per_epoch(self.record.rows, batch_per_rank, world, sampling) if self.copies else shuffled

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[StreamBatch]:
        """Yield the batches of an epoch from `start_step` on."""
        for step, table in enumerate(self._tables(epoch)):
            if step >= start_step:
                yield self._batch(table)

    def _tables(self, epoch: int) -> Iterator[pa.Table]:
        """Yield `steps` tables of exactly `batch_per_rank` rows."""
        spare: list[pa.Table] = []  # the first batches, to fill up with
        waiting = pa.table({})
        done = 0
        for table in self._read(epoch):
            if sum(map(len, spare)) < BUFFER_ROWS:
                spare.append(table)
            waiting = pa.concat_tables([waiting, table]) if len(waiting) else table
            while len(waiting) >= self.batch_per_rank and done < self.steps:
                yield waiting.slice(0, self.batch_per_rank)
                waiting, done = waiting.slice(self.batch_per_rank), done + 1
            if done == self.steps:
                return
        if not spare:
            raise BadInput(
                "sampling.weights", f"no row of worker {self.rank} has a weight", "name sources whose rows stand in train"
            )
        again = pa.concat_tables(spare)
        while done < self.steps:
            while len(waiting) < self.batch_per_rank:
                waiting = pa.concat_tables([waiting, again]) if len(waiting) else again
            yield waiting.slice(0, self.batch_per_rank)
            waiting, done = waiting.slice(self.batch_per_rank), done + 1

    def _read(self, epoch: int) -> Iterator[pa.Table]:
        import ray.data
        from ray.data import DataContext, TaskPoolStrategy

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True  # else the order would depend on which task ends first
        generator = generator_for(self.seed, epoch, self.rank)
        order = torch.randperm(len(self.units), generator=generator).tolist()
        shuffle_seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        units = [{**self.units[i], "draw": f"{self.seed}/{epoch}/{self.rank}/{i}"} for i in order]
        # num_cpus=0: the training workers hold the CPUs, and reading would wait for them for ever.
        rows = ray.data.from_items(units, override_num_blocks=len(units)).map_batches(
            read_unit,  # type: ignore[arg-type]  # Ray types no keyword arguments
            fn_kwargs={"copies": self.copies, "low": bool(self.low_shape), "outlined": self.outlined is not None},
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=0,
            compute=TaskPoolStrategy(size=READERS),
        )
        yield from rows.iter_batches(
            batch_size=self.batch_per_rank,
            batch_format="pyarrow",
            local_shuffle_buffer_size=max(BUFFER_ROWS, 2 * self.batch_per_rank),
            local_shuffle_seed=shuffle_seed,
        )

    def _batch(self, table: pa.Table) -> StreamBatch:
        images = torch.from_numpy(pixels_of(table["pixels"], self.shape).copy())
        ids = torch.from_numpy(table["id"].to_numpy().copy())
        more = low_side(table["lr_pixels"].to_pylist(), self.low_shape) if self.low_shape else {}
        more |= self.outlined.padded(table["outlines"].to_pylist()) if self.outlined else {}
        return StreamBatch(images, table["text"].to_pylist(), ids, table["source"].to_pylist(), more)


def read_unit(units: pa.Table, copies: dict[str, float] | None, low: bool = False, outlined: bool = False) -> pa.Table:
    """Read the row groups that `units` names; with `copies` (by source) each row as often as it is due."""
    columns = [*COLUMNS, *(["lr_pixels"] if low else []), *(["outlines"] if outlined else [])]
    return pa.concat_tables([_read_row_group(unit, copies, columns) for unit in units.to_pylist()])


def _read_row_group(unit: dict[str, Any], copies: dict[str, float] | None, columns: list[str]) -> pa.Table:
    table = pq.ParquetFile(unit["path"]).read_row_group(unit["row_group"], columns=columns)
    if not copies:
        return table
    due = np.array([copies.get(source, 0.0) for source in table["source"].to_pylist()])
    chance = torch.rand(len(due), generator=generator_for(unit["draw"])).numpy()
    return table.take(np.repeat(np.arange(len(due)), np.floor(due + chance).astype(np.int64)))


def _units(folder: Path, shards: list[Any]) -> list[dict[str, Any]]:
    units = []
    for shard in shards:
        path = str((folder / shard.path).resolve())
        metadata = pq.read_metadata(path)
        units += [{"path": path, "row_group": k, "rows": metadata.row_group(k).num_rows} for k in range(metadata.num_row_groups)]
    return units


def _copies(folder: Path, split: str, sampling: SamplingConfig, rows: int) -> dict[str, float] | None:
    """Return how often a row of each source comes in a weighted epoch, None where every row comes once."""
    if sampling.mode == "shuffle":
        return None
    counts = {name: table[split] for name, table in read_json(folder / "audit.json")["rows"].items()}
    weights = {name: weight for name, weight in sampling.weights.items() if counts.get(name)}
    total = sum(weights.values())
    if not total:
        raise BadInput("sampling.weights", f"none of {sorted(sampling.weights)} has rows in {split}", f"rows there: {counts}")
    return {name: weight / total * (sampling.samples_per_epoch or rows) / counts[name] for name, weight in weights.items()}
