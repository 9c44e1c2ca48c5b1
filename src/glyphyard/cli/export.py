"""`glyphyard export`: a run's checkpoint as a bundle, or a bundle's copy for a device."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import json_option, print_json, store_option


@click.command(epilog="Example: glyphyard export florida_crnn-20261120-231500-1a2b --out bundle")
@click.argument("run")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The bundle's folder; it must not exist yet.")
@click.option("--stage", help="The stage whose best checkpoint is exported; the last one when absent.")
@store_option
@json_option
def export(run: str, out: Path, stage: str | None, store: Path, as_json: bool) -> None:
    """Export a run's best checkpoint as a bundle: ONNX, pixels, alphabet, golden crops; parity with torch or nothing."""
    from rich.console import Console

    from glyphyard.core.errors import BadInput
    from glyphyard.export.catalogue import exporter_of
    from glyphyard.pipeline.run import Run
    from glyphyard.pipeline.store import open_run, recipe_of
    from glyphyard.training.job import BEST

    if out.exists():
        raise BadInput(str(out), "this folder is there already", "choose another --out")
    folder = open_run(run, store.absolute())
    this = Run(recipe_of(folder), folder, folder.parent, Console(stderr=True))
    names = [s.name for s in this.recipe.stages]
    if stage and stage not in names:
        raise BadInput(f"--stage {stage}", f"no such stage; the recipe has {', '.join(names)}")
    best = this.stage_dir(names.index(stage or names[-1])) / BEST
    if not best.is_file():
        trained = [name for i, name in enumerate(names) if (this.stage_dir(i) / BEST).is_file()]
        others = f", or export what is trained with --stage {' or '.join(trained)}" if trained else ""
        raise BadInput(
            run, f"stage {stage or names[-1]} is not trained yet", f"finish the run with `glyphyard run --resume {run}`{others}"
        )
    record = exporter_of(this.recipe.task)(this.recipe, best, this.dataset, out.absolute(), this.say)
    if as_json:
        print_json(record.to_json())
    else:
        click.echo(f"{out}: opset {record.opset}, {record.strings_compared} readings equal to torch's")
