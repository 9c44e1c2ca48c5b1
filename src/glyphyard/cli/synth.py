"""`glyphyard synth`: synthetic data to a folder, to look at or to train on elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

SHEET_PLATES = 64


@click.group()
def synth() -> None:
    """Write synthetic data to a folder."""


@synth.command(epilog="Example: glyphyard synth plates --count 1000 --out plates (a sheet of them: plates/sheet.png)")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A folder that does not exist yet.")
@click.option("--count", default=1000, show_default=True, type=click.IntRange(1, 5_000_000))
@click.option("--family", default="florida", show_default=True, help="florida, us or brazil.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--workers", default=None, type=click.IntRange(1), help="Processes; all processors when absent.")
def plates(out: Path, count: int, family: str, seed: int, workers: int | None) -> None:
    """Render licence plates: images/*.png, labels.txt (`path<TAB>text`), meta.csv and sheet.png.

    The same seed gives the same plates on every machine, with any number of workers.
    """
    from glyphyard.pipeline.synthesis import write_plates

    made = write_plates(out, count, family, seed, workers, lambda line: click.echo(line, err=True))
    click.echo(f"{made} plates in {out} (labels.txt, meta.csv, sheet.png)")
