"""`glyphyard run`: the whole life of a model."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from glyphyard.cli.options import console, labels_option, load, print_json, profile_option, set_option, store_option


@click.command(epilog="Example: glyphyard run recipes/florida_crnn.yaml --labels labels.txt --set runtime.workers=2")
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@labels_option
@profile_option
@set_option
@store_option
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped (its folder or name) in place of a recipe.")
@click.option(
    "--start",
    type=click.Choice(["scratch", "finetune", "resume"]),
    help="What the first stage keeps of --from: finetune its weights, resume also optimiser, schedule and epochs; scratch nothing.",
)
@click.option("--from", "origin", metavar="RUN|FILE", help="A run or a checkpoint (.pt) that a new run starts from; see --start.")
@click.option("--stage", metavar="NAME", help="Train only this stage, from its parent's checkpoint, and stop after it.")
@click.option("--until", metavar="STEP", help="Stop after this step: prepare, train-<stage>, export, evaluate, gate, register.")
@click.option("--plan", "only_plan", is_flag=True, help="Print what would be done and do nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="End with one JSON value on standard output; progress goes to standard error."
)
def run(
    recipe: Path | None,
    labels: tuple[Path, ...],
    profile: str | None,
    overrides: tuple[str, ...],
    store: Path,
    resume: str | None,
    start: str | None,
    origin: str | None,
    stage: str | None,
    until: str | None,
    only_plan: bool,
    as_json: bool,
) -> int:
    """Prepare, train, export, evaluate, judge, report and register.

    Exit status: 0 the gate passed · 1 it failed · 2 bad input · 3 too few held-out crops to tell · 4 a step failed.
    """
    if (recipe is None) == (resume is None):
        raise click.UsageError("give a RECIPE, or --resume RUN")
    if resume and (start or origin or profile or overrides or labels):
        told = "--start, --from, --profile, --set and --labels are for a new run of a RECIPE"
        raise click.UsageError(f"--resume goes on in the run's own folder; {told}")
    if only_plan and (stage or until):
        raise click.UsageError("--plan shows the whole run: leave --stage and --until out")
    from glyphyard.pipeline.store import new_run, only_one, only_stage_of, open_run, recipe_of, worth_keeping

    store = store.absolute()
    if start or origin:
        from glyphyard.pipeline.origin import start_overrides

        overrides = (*start_overrides(start, origin, store), *overrides)
    begun = open_run(resume, store) if resume else None
    loaded = recipe_of(begun) if begun else load(Path(recipe or ""), overrides, labels, profile)
    if only_plan:
        from glyphyard.cli.plan import show_plan

        return show_plan(loaded, store, as_json)
    from glyphyard.pipeline.run import Run
    from glyphyard.pipeline.steps import check_steps, execute

    screen = console(stderr=as_json)
    if begun and not (stage or until) and (stage := only_stage_of(begun)):
        screen.print(f"begun with --stage {stage}, and goes on with that alone", highlight=False, markup=False)
    check_steps(loaded, until, stage)
    folder = begun or new_run(loaded, store, stage)
    screen.print(f"run: {folder}", highlight=False, soft_wrap=True, markup=False)
    with nullcontext() if begun else worth_keeping(folder), only_one(folder):
        outcome = execute(Run(loaded, folder, folder.parent, screen), until or (f"train-{stage}" if stage else None), stage)
    code, page = int(outcome.exit_code) if outcome else 0, folder / "report.html"
    if as_json:
        print_json(
            {
                "run": str(folder),
                "outcome": outcome.verdict.outcome if outcome else None,  # None: stopped by --stage or --until
                "exit_code": code,
                "report": str(page) if page.is_file() else None,
            }
        )
    return code
