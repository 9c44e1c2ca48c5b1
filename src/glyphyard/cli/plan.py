"""`glyphyard plan`: what a run would do, in under a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glyphyard.cli.options import console, json_option, load, print_json, recipe_options, store_option
from glyphyard.recipe.recipe import Recipe

if TYPE_CHECKING:
    from glyphyard.pipeline.plan import Plan

WIDTH = 100


@click.command(epilog="Example: glyphyard plan recipes/florida_crnn.yaml --labels labels.txt --set stages.main.epochs=20")
@recipe_options
@store_option
@json_option
def plan(
    recipe: Path, labels: tuple[Path, ...], profile: str | None, overrides: tuple[str, ...], store: Path, as_json: bool
) -> int:
    """Print the resolved recipe, the steps, the cadence, feasibility and resources; start nothing."""
    return show_plan(load(recipe, overrides, labels, profile), store.absolute(), as_json)


def show_plan(recipe: Recipe, store: Path, as_json: bool) -> int:
    """Print a recipe's plan; the exit status is 2 where the run would stop at once."""
    from glyphyard.pipeline.plan import plan_of

    found = plan_of(recipe, store)
    if as_json:
        print_json({"recipe": recipe.to_json(), "plan": found.to_json()})
    else:
        _print(recipe, found)
    return 2 if any("empty" in w or "would stop" in w for w in found.warnings) else 0


def _print(recipe: Recipe, plan: Plan) -> None:
    screen = console()

    def line(title: str, text: str) -> None:
        screen.print(f"[bold]{title:<12}[/]", end="")
        screen.print(text, highlight=False, markup=False, soft_wrap=True)

    _print_recipe(recipe)
    about = "" if plan.rows_are_exact else "≈ "
    line("recipe", f"{plan.recipe}  {plan.fingerprint}")
    line("steps", " → ".join(plan.steps))
    line("dataset", plan.dataset_prepared or "not prepared yet")
    line("rows", ", ".join(f"{split} {about}{count}" for split, count in plan.rows.items()))
    for stage in plan.stages:
        line(
            "stage",
            f"{stage.name}: {stage.epochs} epochs × {stage.steps_per_epoch} steps = {stage.steps} steps; {stage.warmup_steps} of warm-up",
        )
        line("", f"validated after {_places(stage.validations_after_epochs)}; checkpoints {stage.checkpoints}")
    _print_labels(plan.labels, line)
    line(
        "audit",
        ", ".join(f"{n} {kind}" for kind, n in plan.findings.items())
        or ("nothing wrong" if "regions" in plan.labels else "nothing wrong with the labels (images are not opened here)"),
    )
    for finding in plan.first_findings:
        line("", finding)
    line("resources", _resources(plan))
    for text in plan.outlook:
        line("gate", text)
    for warning in plan.warnings:
        line("WARNING", warning)


def _print_labels(labels: dict[str, Any], line: Callable[[str, str], None]) -> None:
    if "regions" in labels:
        regions = ", ".join(f"{n} {name}" for name, n in labels["regions"].items())
        line("regions", f"{regions or 'none'} on {labels['looked_at']} listed pages, {labels['drawn']} more pages are drawn")
        return
    heading = "ctc" if labels["places_are"] == "time steps" else "length"
    if not labels["looked_at"]:
        line(
            heading, f"{labels['places']} {labels['places_are']}; no listed labels to check, rendered plates have few characters"
        )
        line("charset", labels["alphabet"])
        return
    feasible = "feasible" if labels["feasible"] else f"NOT feasible for {labels['rows_too_long']} rows"
    line(heading, f"labels need at most {labels['places_needed_most']} of {labels['places']} {labels['places_are']}: {feasible}")
    missing = f"; never seen: {''.join(labels['characters_never_seen'])}" if labels["characters_never_seen"] else ""
    outside = f"; outside of it: {' '.join(labels['characters_outside'])}" if labels["characters_outside"] else ""
    line("charset", f"{labels['alphabet']}{missing}{outside}")


def _print_recipe(recipe: Recipe) -> None:
    import sys

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.width = WIDTH
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment,attr-defined]
    yaml.default_flow_style = None
    yaml.dump({"resolved recipe": {k: v for k, v in recipe.to_json().items() if k != "suite"}}, sys.stdout)
    sys.stdout.write("\n")


def _places(epochs: list[int]) -> str:
    if len(epochs) == 1:
        return f"epoch {epochs[0]}"
    if epochs == list(range(1, len(epochs) + 1)):
        return f"each of {len(epochs)} epochs"
    return "epochs " + ", ".join(map(str, epochs[:8])) + (" …" if len(epochs) > 8 else "")


def _resources(plan: Plan) -> str:
    r = plan.resources
    where = (
        f"cluster {r['cluster']}"
        if r["cluster"]
        else f"this machine: {r['cpus_here']} CPUs, {r['gpus_here']} GPUs, {r['memory_gb_here']:g} GB"
    )
    asked = f"{r['workers']} worker(s), {r['cpus_asked']:g} CPUs, {r['gpus_asked']:g} GPUs"
    return f"{asked} of {where}; {r['resident_mb_per_worker']:g} MB of crops a worker, {r['ingest']}; {r['disk_free_gb']:g} GB of disk free"
