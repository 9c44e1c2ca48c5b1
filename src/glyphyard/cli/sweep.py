"""`glyphyard sweep`: search overnight, decide in the morning."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

import click

from glyphyard.cli.options import console, labels_option, print_json, store_option

LATEST = "latest"


@click.command(epilog="Example: glyphyard sweep recipes/sweeps/florida_crnn.yaml --set budget.hours=8 --set recipe.seed=3")
@click.argument("sweep_file", metavar="SWEEP.yaml", required=False, type=click.Path(path_type=Path))
@labels_option
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the sweep (budget.trials=20), or its base recipe (recipe.stages.main.epochs=2).",
)
@store_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value=LATEST,
    metavar="[SWEEP_FOLDER]",
    help="Go on with a sweep that was stopped: the latest of this file, or the one in this folder.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="End with one JSON value on standard output; progress goes to standard error."
)
def sweep(
    sweep_file: Path | None, labels: tuple[Path, ...], overrides: tuple[str, ...], store: Path, resume: str | None, as_json: bool
) -> int:
    """Search a recipe's fields with Ray Tune and Optuna, confirm the best with new seeds, and judge the winner.

    Exit status: the gate's for the winner (0 pass, 1 fail, 3 too few crops); 0 where the base recipe stays; 2 bad input; 4 broken.
    """
    started = time.time()
    if resume and resume.endswith((".yaml", ".yml")):  # `sweep --resume FILE`: the file is the sweep
        sweep_file, resume = Path(resume), LATEST
    if sweep_file is None and resume is None:
        raise click.UsageError("give a SWEEP.yaml, or --resume SWEEP_FOLDER")
    from glyphyard.pipeline.store import worth_keeping
    from glyphyard.pipeline.sweep import new_sweep, open_sweep, run_sweep, sweep_of
    from glyphyard.recipe.sweep_load import load_sweep

    store = store.absolute()
    loaded = load_sweep(sweep_file, overrides, labels) if sweep_file else None
    folder = open_sweep(resume, store, loaded) if resume else new_sweep(loaded, store)  # type: ignore[arg-type]
    screen = console(stderr=as_json)
    screen.print(f"sweep: {folder}", highlight=False, soft_wrap=True, markup=False)
    try:
        with nullcontext() if resume else worth_keeping(folder):
            outcome = run_sweep(loaded or sweep_of(folder), folder, screen, started)
    except KeyboardInterrupt:
        click.echo(f"glyphyard: interrupted; `glyphyard sweep --resume {folder}` goes on where it stopped", err=True)
        return 130
    if as_json:
        print_json(outcome.to_json())
    return int(outcome.exit_code)
