"""What a run would do, found out in a moment and without torch or ray: steps, cadence, feasibility, resources, outlook."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphyard.core.capacity import Capacity
from glyphyard.core.records import DatasetManifest, Record
from glyphyard.data.audit import LabelAudit, audit_labels
from glyphyard.data.findings import bad_rows, by_kind, unused_rows
from glyphyard.data.fingerprint import find_prepared
from glyphyard.data.split import assign
from glyphyard.recipe.dataset import RENDERED, SPLITS, PageSource, Split
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.stage import StageConfig
from glyphyard.recipe.suite import SHARES_OF_SAMPLES

RESIDENT = "resident"
LOOKED_AT = 16  # rows of each rendered source
STEPS = "prepare, {stages}, export, evaluate, gate, register, report"


@dataclass(frozen=True)
class StagePlan(Record):
    """One stage in numbers; validations and checkpoints fall at the ends of epochs."""

    name: str
    rows_per_epoch: int
    steps_per_epoch: int
    epochs: int
    steps: int
    warmup_steps: int
    validations_after_epochs: list[int]
    checkpoints: str


@dataclass(frozen=True)
class Plan(Record):
    """What `glyphyard plan` prints; counts of rendered rows by split are estimates until the dataset is prepared."""

    recipe: str
    fingerprint: str
    dataset_prepared: str | None
    steps: list[str]
    rows: dict[str, int]
    rows_are_exact: bool
    stages: list[StagePlan]
    labels: dict[str, Any]
    findings: dict[str, int]
    first_findings: list[str]
    resources: dict[str, Any]
    outlook: list[str]
    warnings: list[str]


def plan_of(recipe: Recipe, store: Path) -> Plan:
    """Work out the plan of a recipe; label files are read, images are not opened (pages are: see `page_plan`)."""
    if any(isinstance(source, PageSource) for source in recipe.dataset.sources):
        from glyphyard.pipeline.page_plan import plan_of_pages

        return plan_of_pages(recipe, store)
    capacity = recipe.model.capacity(recipe.dataset.image.width)
    # Rendered rows can be wrong in nothing but their layout.
    audit = audit_labels(recipe.dataset, capacity, synthetic_limit=0 if capacity.layout == "none" else LOOKED_AT)
    prepared = find_prepared(recipe.dataset, capacity, store)
    rows = _exact_rows(prepared) if prepared else _expected_rows(recipe, audit)
    stages = [stage_plan(stage, rows["train"]) for stage in recipe.stages]
    resources = resources_of(recipe, rows, store)
    return Plan(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        dataset_prepared=str(prepared) if prepared else None,
        steps=STEPS.format(stages=", ".join(f"train-{s.name}" for s in recipe.stages)).split(", "),
        rows=rows,
        rows_are_exact=prepared is not None,
        stages=stages,
        labels=_labels(audit, recipe, capacity),
        findings=by_kind(audit.findings),
        first_findings=[str(finding) for finding in audit.findings[:5]],
        resources=resources,
        outlook=outlook_of(recipe, rows),
        warnings=_warnings(recipe, audit, rows, resources),
    )


def _exact_rows(prepared: Path) -> dict[str, int]:
    manifest = DatasetManifest.read(prepared / "manifest.json")
    return {split: manifest.splits[split].rows if split in manifest.splits else 0 for split in SPLITS}


def _expected_rows(recipe: Recipe, audit: LabelAudit) -> dict[str, int]:
    unused = unused_rows(audit.findings)
    seen: Counter[tuple[str, str]] = Counter()
    for i, (row, group) in enumerate(zip(audit.rows, audit.groups, strict=True)):
        if i not in unused:
            source = next(s for s in recipe.dataset.sources if s.name == row.source)
            seen[row.source, assign(group, recipe.dataset.split, source.splits)] += 1
    rows = dict.fromkeys(SPLITS, 0)
    for source in recipe.dataset.sources:
        shares = _shares(recipe, source.splits)
        for split in SPLITS:
            rows[split] += round(source.count * shares[split]) if isinstance(source, RENDERED) else seen[source.name, split]
    return {str(split): count for split, count in rows.items()}


def _shares(recipe: Recipe, splits: Sequence[Split]) -> dict[Split, float]:
    """Return the share of a rendered source's rows that each split gets, about; no row is rendered to know it."""
    shares: dict[Split, float]
    held_out: dict[Split, float] = {"test": recipe.dataset.split.test, "validation": recipe.dataset.split.validation}
    if "train" not in splits:
        whole = sum(held_out[s] for s in splits if s != "train") or 1.0
        shares = {s: (held_out[s] / whole if s in splits else 0.0) for s in held_out}
        return shares | {"train": 0.0}
    shares = {s: (share if s in splits else 0.0) for s, share in held_out.items()}
    return shares | {"train": 1 - sum(shares.values())}


def stage_plan(stage: StageConfig, train_rows: int) -> StagePlan:
    """Count a stage's steps, and say after which epochs it is validated."""
    rows = stage.sampling.samples_per_epoch or train_rows
    if stage.hard_mining and stage.hard_mining.rows_per_epoch:
        rows = min(rows, stage.hard_mining.rows_per_epoch)
    per_epoch = max(1, math.ceil(rows / stage.batch_size))
    epochs = stage.epochs or max(1, math.ceil((stage.steps or 1) / per_epoch))
    steps = stage.steps or epochs * per_epoch
    after = [e for e in range(1, epochs + 1) if e % stage.validate_every_epochs == 0 or e == epochs]
    warmup = round(stage.schedule.warmup * steps)
    return StagePlan(
        stage.name,
        rows,
        per_epoch,
        epochs,
        steps,
        warmup,
        after,
        "after every epoch and every 60 s (last.pt), at each best (best.pt)",
    )


def _labels(audit: LabelAudit, recipe: Recipe, capacity: Capacity) -> dict[str, Any]:
    alphabet = recipe.dataset.the_alphabet()
    needs = Counter(capacity.needed(alphabet.canonical(text)) for text in audit.texts)
    most = max(needs, default=0)
    return {
        "looked_at": len(audit.texts),
        "places": capacity.places,
        "places_are": capacity.unit,
        "places_needed_most": most,
        "feasible": most <= capacity.places,
        "rows_too_long": sum(count for places, count in needs.items() if places > capacity.places),
        "alphabet": alphabet.characters,
        "characters_never_seen": audit.statistics["characters_never_seen"],
        "characters_outside": sorted({c for text in audit.texts for c in alphabet.unknown(text)}),
        "label_lengths": audit.statistics["label_lengths"],
    }


def resources_of(recipe: Recipe, rows: dict[str, int], store: Path) -> dict[str, Any]:
    """Say what is asked of which machine."""
    image, runtime = recipe.dataset.image, recipe.runtime
    resident = rows["train"] * image.height * image.width * image.channels / runtime.workers
    cpus, gpus = os.cpu_count() or 1, _gpus()
    place = next((p for p in (store, *store.parents) if p.exists()), Path("/"))
    return {
        "cluster": os.environ.get("RAY_ADDRESS"),
        "workers": runtime.workers,
        "cpus_here": cpus,
        "cpus_asked": runtime.workers * (runtime.cpus_per_worker or max(1, cpus // runtime.workers)),
        "gpus_here": gpus,
        "gpus_asked": runtime.workers * runtime.gpus_per_worker,
        "memory_gb_here": round(_memory_bytes() / 1e9, 1),
        "resident_mb_per_worker": round(resident / 1e6, 1),
        "ingest": RESIDENT if resident <= runtime.resident_budget_mb * 2**20 else "streamed from disk each epoch",
        "disk_free_gb": round(shutil.disk_usage(place).free / 1e9, 1),
    }


def _gpus() -> int:
    driver = Path("/proc/driver/nvidia")
    if not driver.exists() or not shutil.which("nvidia-smi"):
        return len(list(driver.glob("gpus/*")))
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=5)
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def outlook_of(recipe: Recipe, rows: dict[str, int]) -> list[str]:
    """Say what the gate can say at best, given how many crops are held out."""
    suite = recipe.suite
    if suite is None:
        return []
    from glyphyard.evaluation.wilson import samples_needed

    held_out = rows[suite.split]
    lines = [f"{held_out} crops are held out ({suite.split}); the suite {suite.name} wants at least {suite.min_samples}"]
    for threshold in suite.thresholds:
        if threshold.metric in SHARES_OF_SAMPLES and threshold.above is not None:
            observed = (1 + threshold.above) / 2
            needed = samples_needed(observed, threshold.above, suite.confidence)
            told = f"{threshold.metric} > {threshold.above:g} at {suite.confidence:.0%} confidence takes about {needed} crops at an observed {observed:.1%}"
            lines.append(
                told + ("" if needed and held_out >= needed else f": with {held_out} the gate may only say INSUFFICIENT_DATA")
            )
    return lines


def _warnings(recipe: Recipe, audit: LabelAudit, rows: dict[str, int], resources: dict[str, Any]) -> list[str]:
    listed = Counter(row.source for row in audit.rows)
    bad = Counter(audit.rows[i].source for i in bad_rows(audit.findings))
    allowed = recipe.dataset.max_bad_fraction
    return warnings_of(recipe, rows, resources) + [
        f"{n} of {listed[name]} rows of {name} are bad: the run would stop (max_bad_fraction {allowed:g})"
        for name, n in bad.items()
        if n > allowed * listed[name]
    ]


def warnings_of(recipe: Recipe, rows: dict[str, int], resources: dict[str, Any]) -> list[str]:
    """Say what stands in the way of a run: empty splits, missing processors, batches larger than the data."""
    found = [
        f"the {split} split would be empty"
        for split in {"train", "validation", recipe.suite.split if recipe.suite else "test"}
        if not rows[split]
    ]
    if not resources["cluster"]:
        stops = {"cpus": recipe.runtime.launcher == "ray", "gpus": True}  # in one process, CPUs are only shared more often
        for kind, would_stop in stops.items():
            asked, here = resources[f"{kind}_asked"], resources[f"{kind}_here"]
            if asked > here:
                told = ": the run would stop" if would_stop else ""
                found.append(f"asks for {asked:g} {kind.upper()}, this machine has {here}{told}")
    if resources["ingest"] != RESIDENT:
        found += [
            f"stage {s.name}: hard_mining wants the training rows in memory, they are more than runtime.resident_budget_mb: the run would stop"
            for s in recipe.stages
            if s.hard_mining
        ]
    return found + small_splits(recipe.stages, rows["train"])


def small_splits(stages: Iterable[StageConfig], rows: int) -> list[str]:
    """Return a sentence about each stage that has to repeat training rows to fill a batch."""
    return [
        f"stage {s.name}: batch_size {s.batch_size} is more than the {rows} training rows" for s in stages if s.batch_size > rows
    ]
