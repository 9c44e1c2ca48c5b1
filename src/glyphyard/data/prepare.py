"""`prepare`: sources → one audited, split, resized, sharded dataset, made by Ray Data once and cached by content."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import pyarrow.parquet as pq

from glyphyard.core import errors
from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import canonical_json, make_folder, read_json, write_json
from glyphyard.core.pixels import PixelContract
from glyphyard.core.records import DatasetManifest, SplitRecord
from glyphyard.data.audit import audit_labels, refuse_too_many_bad
from glyphyard.data.chunks import chunk_specs, low_contract, run_chunk, run_chunk_in_ray
from glyphyard.data.draft import Draft
from glyphyard.data.findings import Kind, bad_rows, by_kind, told
from glyphyard.data.fingerprint import PREPARE_VERSION, dataset_fingerprint, dataset_folder, find_prepared, identify
from glyphyard.data.refusal import listing
from glyphyard.data.shards import PAIRED_SCHEMA, SCHEMA, SplitWriter
from glyphyard.data.workplace import workplace
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, Split

__all__ = ["dataset_fingerprint", "find_prepared", "prepare"]

Say = Callable[[str], None]
Progress = Callable[[int, int], None]  # rows done, rows in all


def prepare(
    dataset: DatasetConfig,
    capacity: Capacity,
    store: Path,
    *,
    need: tuple[Split, ...] = ("train",),
    in_process: bool = False,
    say: Say = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Return the folder of the prepared dataset, making it first if its content is not in the store yet.

    Raises `BadInput` where too many rows are bad or a side of the split in `need` comes out empty. Without
    `in_process` Ray has to be connected already; the result is the same, byte for byte.
    """
    store = make_folder(Path(store).absolute())  # a Ray task works elsewhere
    identity = identify(dataset, capacity, store)
    assert identity is not None
    target = dataset_folder(store, identity.fingerprint)
    if (target / "manifest.json").is_file():
        return _reuse(target, dataset, need, say)
    labels = audit_labels(dataset, capacity)
    draft = Draft.of(dataset, labels, identity.hashes)
    _refuse(draft, store, identity.fingerprint, say)
    with workplace(target) as folder:
        paths = _read_images(draft, folder / "chunks", in_process, progress)
        draft.close()
        _refuse(draft, store, identity.fingerprint, say)
        for line in told(draft.findings):
            say(line)
        _check_need(dataset, draft.rows_by_split(), by_kind(draft.findings), need)
        splits = _write_shards(draft, paths, folder)
        shutil.rmtree(folder / "chunks")
        write_json(folder / "audit.json", draft.report(identity.fingerprint))
        _manifest(draft, identity.fingerprint, splits).write(folder / "manifest.json")
    say(_summary(identity.fingerprint, draft.rows_by_split(), len(bad_rows(draft.findings))))
    return target


def _reuse(target: Path, dataset: DatasetConfig, need: tuple[Split, ...], say: Say) -> Path:
    manifest = DatasetManifest.read(target / "manifest.json")
    rows: dict[Split, int] = {split: manifest.splits[split].rows if split in manifest.splits else 0 for split in SPLITS}
    counts = read_json(target / "audit.json")["counts"]
    _check_need(dataset, rows, counts, need)
    if counts:
        say(f"audit: {', '.join(f'{n} {kind}' for kind, n in counts.items())} (listed in {target / 'audit.json'})")
    say(_summary(manifest.fingerprint, rows, manifest.bad_rows) + " (cached)")
    return target


def _summary(fingerprint: str, rows: Mapping[Split, int], bad: int) -> str:
    return (
        f"dataset {fingerprint}: " + " · ".join(f"{rows[split]:,} {split}" for split in SPLITS) + f" · {bad:,} bad rows left out"
    )


def _refuse(draft: Draft, store: Path, name: str, say: Say) -> None:
    with listing(store, say, lambda: (name, draft.report(name))):
        refuse_too_many_bad(draft.dataset, draft.rows, draft.findings)


def _check_need(dataset: DatasetConfig, rows: Mapping[Split, int], counts: Mapping[str, int], need: tuple[Split, ...]) -> None:
    for split in need:
        if rows[split]:
            continue
        share = {"validation": dataset.split.validation, "test": dataset.split.test}.get(split)
        remedy = (
            f"raise dataset.split.{split} (now {share:g})" if share is not None else "lower dataset.split.validation and .test"
        )
        found = ", ".join(f"{count} {name}" for name, count in rows.items())
        if elsewhere := counts.get(Kind.HELD_OUT_ELSEWHERE.value):
            found += f", {elsewhere} rows left out because their plate stands on another side"
        raise BadInput(
            "dataset.split",
            f"the {split} split came out empty ({found})",
            f"{remedy}, add rows, or name {split} in a source's splits",
        )


def _read_images(draft: Draft, folder: Path, in_process: bool, progress: Progress) -> list[Path]:
    """Run all chunks, let the draft take their reports in order, and return the chunks' files in order."""
    folder.mkdir()
    image = draft.dataset.image
    pixels = PixelContract(image.height, image.width, image.channels, image.interpolation)
    wanted = draft.wanted()
    low = draft.dataset.low_resolution
    specs = chunk_specs(draft.rows, wanted, draft.held_out(), pixels, folder, low.model_dump(mode="json") if low else None)
    reports: list[dict[str, Any]] = []
    done = 0
    progress(0, len(wanted))
    for text in map(run_chunk, specs) if in_process else _with_ray(specs):
        report = json.loads(text)
        if "error" in report:
            name, *what = report["error"]
            raise getattr(errors, name)(*what)
        reports.append(report)
        done += len(report["rows"])
        progress(done, len(wanted))
    reports.sort(key=lambda report: report["chunk"])
    for report in reports:
        draft.take(report["rows"])
    return [Path(report["out"]) for report in reports]


def _with_ray(specs: Sequence[str]) -> Iterator[str]:
    """Run the chunks as one Ray Data execution; reports come as they are ready, in any order."""
    import ray
    from ray.data import DataContext

    if not ray.is_initialized():
        raise StepFailed("prepare", "Ray is not connected", "connect first, or set runtime.launcher: in_process")
    if not specs:
        return
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    # A few chunks a task at most: a task's start costs as much as decoding some images.
    blocks = min(len(specs), 1024)
    chunks = ray.data.from_items([{"spec": spec} for spec in specs], override_num_blocks=blocks)
    try:
        for row in chunks.map(run_chunk_in_ray).iter_rows():
            yield row["report"]
    except ray.exceptions.RayError as error:
        reason = str(getattr(error, "cause", None) or error).strip().splitlines()
        raise StepFailed(
            "prepare", f"a Ray task broke ({reason[-1] if reason else type(error).__name__})", "see the Ray logs"
        ) from error


def _write_shards(draft: Draft, paths: Sequence[Path], folder: Path) -> dict[str, SplitRecord]:
    writers = {split: SplitWriter(folder, split) for split in SPLITS}
    for path in paths:
        table = pq.read_table(path)
        ids = table["id"].to_pylist()
        for split, writer in writers.items():
            at = [k for k, i in enumerate(ids) if draft.splits[i] == split]
            if at:
                kept = [ids[k] for k in at]
                writer.add(_with_labels(draft, table.take(at), kept), [draft.identities[i] for i in kept])
    return {split: record for split, writer in writers.items() if (record := writer.finish()).rows}


def _with_labels(draft: Draft, table: pa.Table, ids: list[int]) -> pa.Table:
    rows = [draft.rows[i] for i in ids]
    columns = {
        "id": table["id"],
        "pixels": table["pixels"],
        "text": [draft.texts[i] for i in ids],
        "source": [row.source for row in rows],
        "group": [draft.groups[i] for i in ids],
        "path": [row.path for row in rows],
        "line": [row.line for row in rows],
        "meta": [canonical_json({**row.meta, **draft.facts[i].get("meta", {})}) for i, row in zip(ids, rows, strict=True)],
        "encoded": table["encoded"],
    }
    schema = SCHEMA
    if "lr_pixels" in table.column_names:
        schema, columns["lr_pixels"] = PAIRED_SCHEMA, table["lr_pixels"]
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _manifest(draft: Draft, fingerprint: str, splits: dict[str, SplitRecord]) -> DatasetManifest:
    alphabet, image, low = draft.dataset.the_alphabet(), draft.dataset.image, draft.dataset.low_resolution
    pixels = PixelContract(image.height, image.width, image.channels, image.interpolation)
    return DatasetManifest(
        fingerprint=fingerprint,
        alphabet=alphabet.characters,
        fold=dict(alphabet.fold),
        pixels=pixels.to_json(),
        low_pixels=low_contract(pixels, low.scale).to_json() if low else None,
        sources=[source.name for source in draft.dataset.sources],
        splits=splits,
        bad_rows=len(bad_rows(draft.findings)),
        versions={"prepare": str(PREPARE_VERSION), "opencv": cv2.__version__, "pyarrow": pa.__version__},
    )
