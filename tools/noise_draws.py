"""Super-resolution bundles on a run's held-out plates, each plate shrunk many times with other noise, one row a bundle.

    .venv/bin/python tools/stage_by_stage.py RUN --out stages       # leaves a bundle a stage
    .venv/bin/python tools/noise_draws.py RUN stages/*/bundle --draws 20
    .venv/bin/python tools/noise_draws.py RUN stages/*/bundle --clean      # shrunk and nothing else
    .venv/bin/python tools/noise_draws.py RUN stages/*/bundle --split validation    # to choose by
    .venv/bin/python tools/noise_draws.py RUN stages/*/bundle --labels drawn/labels.txt --draws 2    # plates of your own

A plate's one noisy side decides by luck whether it is read; twenty sides say more of the same plates. `gain` is over the row
above, with its 95 % interval and p over plates, not over draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import read_image
from glyphyard.data.degrade import degrade
from glyphyard.data.resident import ResidentSplit, load_resident
from glyphyard.data.sources.plate_tsv import list_plate_tsv
from glyphyard.edge.restorer import Restorer
from glyphyard.evaluation.paired import exact_match_difference
from glyphyard.pipeline.run import Run
from glyphyard.pipeline.store import DEFAULT_STORE, open_run, recipe_of
from glyphyard.recipe.dataset import PlateTsv
from glyphyard.recipe.recipe import Recipe


def sides(recipe: Recipe, plates: ResidentSplit, draws: int, clean: bool) -> list[list[np.ndarray]]:
    """Return the low-resolution sides of all plates, all noisy or all clean, once a draw; training and evaluation use other draws."""
    assert recipe.dataset.low_resolution is not None
    low = recipe.dataset.low_resolution.model_copy(update={"clean": float(clean)})
    return [list(degrade(plates.images, plates.ids, 10_000 + draw, recipe.seed, low).numpy()) for draw in range(draws)]


def words(recipe: Recipe, plates: ResidentSplit, bundle: Path, drawn: list[list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return which words were read exactly, bicubically enlarged and as made, each (draws · plates,)."""
    alphabet, restorer = recipe.dataset.the_alphabet(), Restorer(bundle)
    wanted = [alphabet.canonical(text) for text in plates.texts]

    def right(images: list[np.ndarray]) -> list[bool]:
        read = restorer.recogniser.read_many(images)
        return [alphabet.canonical(one.text) == text for one, text in zip(read, wanted, strict=True)]

    bicubic, made = list[bool](), list[bool]()
    for small in drawn:
        bicubic += right([restorer.enlarge(image) for image in small])
        made += right(restorer.restore(small))
    return np.array(bicubic), np.array(made)


def plates_of(labels: Path, bundle: Path) -> ResidentSplit:
    """Return the plates of a label file, as large as the bundle's high side; a broken line is a `BadInput`."""
    pixels = Restorer(bundle, replay_golden=False).pixels
    rows = list_plate_tsv(PlateTsv(name="own", kind="plate_tsv", labels=str(labels)))
    if broken := [row for row in rows if row.problem]:
        raise BadInput(f"{labels}:{broken[0].line}", broken[0].problem)
    images = np.stack([pixels.resize(read_image(Path(row.file))) for row in rows])
    return ResidentSplit(torch.from_numpy(images), [row.text_raw for row in rows], torch.arange(len(rows)), ["own"] * len(rows))


def table_of(run: Run, plates: ResidentSplit, bundles: list[Path], draws: int, clean: bool, what: str) -> Table:
    """Return a row for each bundle."""
    groups = np.array([run.recipe.dataset.the_alphabet().canonical(text) for text in plates.texts] * draws)
    table = Table("bundle", "bicubic", "made", "gain", "p", title=f"words of {len(plates)} {what} plates, {draws} sides each")
    drawn = sides(run.recipe, plates, draws, clean)
    above: np.ndarray | None = None
    for bundle in bundles:
        bicubic, made = words(run.recipe, plates, bundle, drawn)
        gain, p = "", ""
        if above is not None:
            found = exact_match_difference(above, made, groups, 0.95, 2000, 0)
            gain, p = f"{found.value:+.2%} [{found.low:+.2%}, {found.high:+.2%}]", f"{found.p_value:.2g}"
        table.add_row(bundle.parent.name, f"{bicubic.mean():.2%}", f"{made.mean():.2%}", gain, p)
        above = made
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="whose dataset is read")
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--clean", action="store_true", help="no noise, blur or JPEG; one side a plate")
    parser.add_argument("--split", default="test", choices=["test", "validation"])
    parser.add_argument("--labels", type=Path, help="a label file in place of the run's plates")
    arguments = parser.parse_args()
    draws = 1 if arguments.clean else arguments.draws
    folder, console = open_run(arguments.run, DEFAULT_STORE), Console(width=160)
    run = Run(recipe_of(folder), folder, folder.parent, console)
    own = arguments.labels
    plates = plates_of(own, arguments.bundles[0]) if own else load_resident(run.dataset, arguments.split)
    console.print(table_of(run, plates, arguments.bundles, draws, arguments.clean, "own" if own else arguments.split))


if __name__ == "__main__":
    try:
        main()
    except BadInput as error:
        raise SystemExit(str(error)) from None
