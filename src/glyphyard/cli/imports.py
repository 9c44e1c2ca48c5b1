"""`glyphyard import`: other people's labelled pages → an audited YOLO folder with splits and a picture of the boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from glyphyard.recipe.dataset import Split, SplitConfig

VALIDATION = click.option("--validation", default=0.1, show_default=True, type=click.FloatRange(0, 0.9), help="Share held out.")
TEST = click.option("--test", default=0.1, show_default=True, type=click.FloatRange(0, 0.9), help="Share held out.")


def _split(validation: float, test: float) -> SplitConfig:
    return SplitConfig(validation=validation, test=test, group_by="path")


@click.group("import")
def imports() -> None:
    """Bring labelled pages of others into a YOLO folder: audited, split, with a picture of the boxes."""


@imports.command(epilog="Example: glyphyard import yolo my_labels pages --one-class handwriting")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--one-class", default=None, help="Whatever the class, it is called so.")
@click.option("--class", "classes", multiple=True, help="Names of the classes by number, where the folder names none.")
@click.option(
    "--unlabelled",
    default="negative",
    show_default=True,
    type=click.Choice(["negative", "leave_out"]),
    help="Images without labels.",
)
@click.option(
    "--max-bad",
    default=0.02,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="More bad regions than this share are refused.",
)
@VALIDATION
@TEST
def yolo(
    folder: Path,
    out: Path,
    one_class: str | None,
    classes: tuple[str, ...],
    unlabelled: str,
    max_bad: float,
    validation: float,
    test: float,
) -> None:
    """Import a folder of LabelImg, Roboflow or ultralytics (or its YAML file); splits that it has are kept."""
    from glyphyard.data.imports.yolo import import_yolo
    from glyphyard.recipe.dataset import YoloFolder

    source = YoloFolder.model_validate(
        {"kind": "yolo_folder", "name": "import", "folder": folder, "classes": classes or None}
        | {"one_class": one_class, "unlabelled": unlabelled}
    )
    made = import_yolo(source, out, _split(validation, test), max_bad, lambda line: click.echo(line, err=True))
    _conclude(out, made.pages, sum(made.boxes.values()))


@imports.command(epilog="Example: glyphyard import iam downloads pages")
@click.argument("place", metavar="ARCHIVE_OR_FOLDER", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--max-side", default=1600, show_default=True, type=click.IntRange(320, 8000), help="Longer forms are scaled down, in pixels."
)
@VALIDATION
@TEST
def iam(place: Path, out: Path, max_side: int, validation: float, test: float) -> None:
    """Import the IAM Handwriting Database from its archives, or a folder of them; writers stand in one split only."""
    from glyphyard.data.imports.iam import import_iam

    made = import_iam(place, out, _split(validation, test), max_side, lambda line: click.echo(line, err=True))
    _conclude(out, made.pages, sum(made.boxes.values()))


def _conclude(out: Path, pages: Mapping[Split, int], boxes: int) -> None:
    shown = ", ".join(f"{count} {split}" for split, count in pages.items())
    click.echo(f"{sum(pages.values())} pages with {boxes} boxes in {out} ({shown}; audit.json, and boxes.png to look at)")


globals()["import"] = imports  # `main` asks for the verb by its name, which is a word of Python's
