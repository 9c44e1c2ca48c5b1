"""What a run over pages would do: they are listed and audited, their images' headers read; none is drawn."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from glyphyard.data.catalogue import preparer_of
from glyphyard.data.findings import by_kind
from glyphyard.data.fingerprint import dataset_folder
from glyphyard.pipeline.plan import STEPS, Plan, outlook_of, resources_of, stage_plan, warnings_of
from glyphyard.recipe.dataset import SPLITS
from glyphyard.recipe.recipe import Recipe


def plan_of_pages(recipe: Recipe, store: Path) -> Plan:
    """Work out the plan of a recipe whose sources are pages; counts of pages by split are exact."""
    capacity = recipe.model.capacity(recipe.dataset.image.width)
    preparer = preparer_of(recipe.task)
    found = preparer.gather(recipe.dataset)
    folder = dataset_folder(store, preparer.identify(recipe.dataset, capacity, store))
    prepared = (folder / "manifest.json").is_file()
    rows = {str(split): len(found.pages[split]) + len(found.drawn[split]) for split in SPLITS}
    resources = resources_of(recipe, rows, store)
    stages = [stage_plan(stage, rows["train"]) for stage in recipe.stages]
    if recipe.model.network == "yolo":
        resources |= {"resident_mb_per_worker": 0.0, "ingest": "pages are read from disk, one by one"}
        stages = [replace(stage, checkpoints="after every epoch (last.pt), at each best (best.pt)") for stage in stages]
    marked = [page for split in SPLITS for page in found.pages[split]]
    return Plan(
        recipe=recipe.name,
        fingerprint=recipe.fingerprint,
        dataset_prepared=str(folder) if prepared else None,
        steps=STEPS.format(stages=", ".join(f"train-{s.name}" for s in recipe.stages)).split(", "),
        rows=rows,
        rows_are_exact=True,
        stages=stages,
        labels={
            "looked_at": len(marked),
            "drawn": sum(len(found.drawn[split]) for split in SPLITS),
            "regions": dict(sorted(Counter(label for page in marked for label in page.labels).items())),
        },
        findings=by_kind(found.findings),
        first_findings=[str(finding) for finding in found.findings[:5]],
        resources=resources,
        outlook=outlook_of(recipe, rows),
        warnings=warnings_of(recipe, rows, resources),
    )
