"""`glyphyard evaluate`: a bundle, or readings made elsewhere, against a suite and a baseline."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glyphyard.cli.options import json_option, labels_option, print_json, set_option, store_option

if TYPE_CHECKING:
    from glyphyard.core.records import Scorecard
    from glyphyard.evaluation.measure import Say
    from glyphyard.pipeline.judged import Terms


@click.command(
    epilog="Example: glyphyard evaluate runs/florida_crnn-…/bundle --suite florida_plates --baseline florida_plates --out scores"
)
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--suite", metavar="NAME|FILE", help="A suite of evals/suites; the recipe's own when absent.")
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    help="The recipe whose held-out set judges; that of the bundle's run when absent.",
)
@labels_option
@click.option("--dataset", type=click.Path(path_type=Path), help="A prepared dataset's folder in place of a recipe.")
@click.option(
    "--predictions", type=click.Path(path_type=Path), help="JSON lines (id or path, text, confidence) in place of BUNDLE."
)
@click.option("--baseline", metavar="NAME", help="Compare with evals/baselines/NAME.json on the same crops; a loss fails.")
@click.option(
    "--decode", type=click.Choice(["greedy", "beam"]), default="greedy", help="beam: with the bundle's n-gram (export.ngram)."
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Read with this many Ray workers: the same result, sooner.")
@set_option
@store_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path),
    help="Folder for scorecard.json, samples.parquet, verdict.json, junit.xml and verdict.md.",
)  # fmt: skip
@json_option
def evaluate(
    bundle: Path | None,
    suite: str | None,
    recipe: Path | None,
    labels: tuple[Path, ...],
    dataset: Path | None,
    predictions: Path | None,
    baseline: str | None,
    decode: str,
    workers: int | None,
    overrides: tuple[str, ...],
    store: Path,
    out: Path,
    as_json: bool,
) -> int:
    """Measure on a held-out set and judge (status 0 pass · 1 fail · 2 bad input · 3 too few crops · 4 broke)."""
    if (bundle is None) == (predictions is None):
        raise click.UsageError("give a BUNDLE, or --predictions FILE")
    if decode != "greedy" and (workers or predictions):
        raise click.UsageError("--decode beam reads a BUNDLE in one process")
    from glyphyard.core.errors import BadInput
    from glyphyard.core.files import make_folder
    from glyphyard.edge.manifest import MANIFEST
    from glyphyard.evaluation.baseline import load_baseline
    from glyphyard.evaluation.conclude import conclude
    from glyphyard.evaluation.gate import exit_code
    from glyphyard.evaluation.predictions import measure_predictions
    from glyphyard.pipeline.judged import dataset_of, terms_of

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    if bundle is not None and not (bundle / MANIFEST).is_file():
        raise BadInput(str(bundle), f"holds no {MANIFEST}", "name the folder of a bundle: RUN/bundle")
    terms = terms_of(suite, recipe, bundle, overrides, labels)
    if baseline is not None:
        load_baseline(baseline)  # a name with a typing error costs no evaluation
    folder = dataset_of(terms, dataset, labels, store, say)
    make_folder(out)
    if predictions is not None:
        card = measure_predictions(predictions, folder, terms.suite, out, normalise=terms.normalise, say=say, known=terms.known)
    else:
        assert bundle is not None
        card = _measured(bundle.absolute(), folder.absolute(), terms, out, workers, decode, say)
    verdict = conclude(card, terms.suite, out, baseline)
    if as_json:
        print_json({"scorecard": card.to_json(), "verdict": verdict.to_json()})
    else:
        for finding in verdict.findings:
            click.echo(f"  {finding.outcome}: {finding.message}")
        click.echo(f"gate: {verdict.outcome}")
    return int(exit_code(verdict))


def _measured(bundle: Path, dataset: Path, terms: Terms, out: Path, workers: int | None, decode: str, say: Say) -> Scorecard:
    """Measure a bundle the way of its task; text readers can be shared out among workers and decoded in two ways."""
    from glyphyard.core.errors import BadInput
    from glyphyard.core.files import read_json
    from glyphyard.evaluation.catalogue import evaluation_of, told
    from glyphyard.evaluation.measure import read_here

    task = terms.recipe.task if terms.recipe else str(read_json(bundle / "bundle.json").get("task", "recognition"))
    options: dict[str, Any] = {"say": say, "known": terms.known}
    if terms.recipe:
        options |= {"batch_size": terms.recipe.evaluate.batch_size, "threads": terms.recipe.evaluate.threads}
    if task != "recognition" and (workers or decode != "greedy"):
        raise BadInput(
            str(bundle), f"--workers and --decode are for task recognition, this bundle is of {task}", "leave them out"
        )
    with ExitStack() as stack:
        if workers:
            from glyphyard.cluster.measure import reader_on_ray
            from glyphyard.cluster.session import connected

            stack.enter_context(connected(say=say))
            options["reader"] = reader_on_ray(workers)
        elif task == "recognition":
            options |= {"reader": partial(read_here, decode=decode), "decode": decode}
        how = evaluation_of(task)
        card = how.measure(bundle, dataset, terms.suite, out, **options)
        say(f"evaluate: {told(card, how.headline)} on {card.samples} {terms.suite.unit}")
        return card
