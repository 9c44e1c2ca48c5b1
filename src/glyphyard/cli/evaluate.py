"""`glyphyard evaluate`: a bundle against a suite."""

from __future__ import annotations

from pathlib import Path

import click

from glyphyard.cli.options import json_option, labels_option, load, print_json, set_option, store_option


@click.command(
    epilog="Example: glyphyard evaluate runs/florida_crnn-…/bundle --recipe recipes/florida_crnn.yaml --labels new_labels.txt --out scores"
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--recipe", required=True, type=click.Path(path_type=Path), help="The recipe whose held-out set and suite judge the bundle."
)
@labels_option
@set_option
@store_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for scorecard.json, samples.parquet and verdict.json."
)
@json_option
def evaluate(
    bundle: Path, recipe: Path, labels: tuple[Path, ...], overrides: tuple[str, ...], store: Path, out: Path, as_json: bool
) -> int:
    """Measure a bundle on a held-out set and judge it (status 0 pass · 1 fail · 3 too few crops)."""
    from glyphyard.core.files import make_folder
    from glyphyard.data.prepare import prepare
    from glyphyard.evaluation.gate import exit_code, judge
    from glyphyard.evaluation.measure import measure

    loaded = load(recipe, overrides, labels)
    assert loaded.suite is not None
    say = (lambda line: click.echo(line, err=True)) if as_json else click.echo
    time_steps = loaded.model.time_steps(loaded.dataset.image.width)
    dataset = prepare(loaded.dataset, time_steps, store.absolute(), need=(loaded.suite.split,), in_process=True, say=say)
    config = loaded.evaluate
    card = measure(bundle, dataset, loaded.suite, make_folder(out), batch_size=config.batch_size, threads=config.threads, say=say)
    verdict = judge(card, loaded.suite)
    verdict.write(out / "verdict.json")
    if as_json:
        print_json({"scorecard": card.to_json(), "verdict": verdict.to_json()})
    else:
        for finding in verdict.findings:
            click.echo(f"  {finding.outcome}: {finding.message}")
        click.echo(f"gate: {verdict.outcome}")
    return int(exit_code(verdict))
