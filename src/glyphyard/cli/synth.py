"""`glyphyard synth`: synthetic data to a folder, to look at or to train on elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.group()
def synth() -> None:
    """Write synthetic data to a folder."""


@synth.command(epilog="Example: glyphyard synth plates --count 1000 --out plates (a sheet of them: plates/sheet.png)")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder that does not exist yet.")
@click.option("--count", default=1000, show_default=True, type=click.IntRange(1, 5_000_000))
@click.option("--family", default="florida", show_default=True, type=click.Choice(["florida", "us", "brazil"]))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--difficulty", default=1.0, show_default=True, type=click.FloatRange(0, 1), help="Share of the camera's trouble.")
@click.option("--workers", default=None, type=click.IntRange(1), help="Processes; all processors when absent.")
def plates(out: Path, count: int, family: Any, seed: int, difficulty: float, workers: int | None) -> None:
    """Render licence plates: images/*.png, labels.txt (`path<TAB>text`), meta.csv and sheet.png.

    The same seed gives the same plates on every machine, with any number of workers.
    """
    from glyphyard.pipeline.synthesis import write_plates
    from glyphyard.recipe.dataset import SyntheticPlates

    asked = SyntheticPlates(kind="synthetic_plates", name="plates", family=family, count=count, seed=seed, difficulty=difficulty)
    write_plates(asked, out, workers, lambda line: click.echo(line, err=True))
    click.echo(f"{count} plates in {out} (labels.txt, meta.csv, sheet.png)")


@synth.command(epilog="Example: glyphyard synth pages --count 2000 --out pages (a sheet of them: pages/sheet.png)")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder that does not exist yet.")
@click.option("--count", default=2000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option(
    "--difficulty", default=1.0, show_default=True, type=click.FloatRange(0, 1), help="Share of stains, shadows, skew, blur."
)
@click.option(
    "--validation", default=0.1, show_default=True, type=click.FloatRange(0, 0.9), help="Share of the writers held out."
)
@click.option("--test", default=0.1, show_default=True, type=click.FloatRange(0, 0.9), help="Share of the writers held out.")
@click.option("--workers", default=None, type=click.IntRange(1), help="Processes; all processors when absent.")
def pages(out: Path, count: int, seed: int, difficulty: float, validation: float, test: float, workers: int | None) -> None:
    """Draw documents with handwriting-like lines: images/, YOLO labels/, dataset.yaml, lines.csv and sheet.png.

    The same seed gives the same pages on every machine, with any number of workers. A writer stands in one split only.
    """
    from glyphyard.pipeline.page_synthesis import write_pages
    from glyphyard.recipe.dataset import SplitConfig, SyntheticPages

    asked = SyntheticPages(kind="synthetic_pages", name="pages", count=count, seed=seed, difficulty=difficulty)
    split = SplitConfig(validation=validation, test=test, group_by="path")
    counts = write_pages(asked, out, split, workers, lambda line: click.echo(line, err=True))
    click.echo(f"{count} pages in {out} ({', '.join(f'{n} {side}' for side, n in counts.items())}; look at sheet.png)")
