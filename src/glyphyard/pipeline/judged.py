"""What an evaluation is made of: which suite, which held-out set, and where readings made elsewhere get their truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glyphyard.core.capacity import Capacity
from glyphyard.core.errors import BadInput
from glyphyard.evaluation.held_out import HeldOutRow, held_out_sha256, manifest_path, write_manifest
from glyphyard.evaluation.measure import Say
from glyphyard.recipe.dataset import DatasetConfig, PlateTsv
from glyphyard.recipe.laws import check_laws
from glyphyard.recipe.load import load_recipe, load_suite
from glyphyard.recipe.recipe import Recipe
from glyphyard.recipe.suite import SuiteConfig

SUITES = Path("evals/suites")
ANY_LENGTH = Capacity(100_000)  # of a reader that nobody asks for its limits
NAME_THE_SET = "name the held-out set: --recipe RECIPE, --labels FILE or --dataset FOLDER"


@dataclass(frozen=True)
class Terms:
    """A suite with the file that its frozen rows are listed in, and the recipe that says how labels are read (None: as they are)."""

    suite: SuiteConfig
    known: Path | None
    recipe: Recipe | None

    def normalise(self, text: str) -> str:
        """Do to a reading what the recipe does to labels."""
        return self.recipe.dataset.normalise(text) if self.recipe else text


def suite_file(name: str) -> Path:
    """Return the file of a suite that is given by path or by its name in evals/suites."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    found = SUITES / f"{name}.yaml"
    if not found.is_file():
        known = ", ".join(sorted(p.stem for p in SUITES.glob("*.yaml")))
        raise BadInput(
            f"suite {name}",
            f"no file {found.absolute()}",
            f"known here: {known}" if known else "give the path of a suite file, or call it from the folder that holds evals/",
        )
    return found


def terms_of(
    suite: str | None, recipe: Path | None, bundle: Path | None, overrides: Sequence[str], labels: Sequence[Path]
) -> Terms:
    """Find suite and recipe: those that are named, else those of the run that the bundle lies in."""
    run_recipe = bundle.absolute().parent / "recipe.json" if bundle else None
    source = recipe or (run_recipe if run_recipe and run_recipe.is_file() else None)
    loaded = _load(source, overrides, labels) if source else None
    file = suite_file(suite) if suite else loaded.evaluate.suite if loaded else None
    chosen = load_suite(suite_file(suite)) if suite else loaded.suite if loaded else None
    if chosen is None:
        raise BadInput("--suite", "no suite to judge by", "name one with --suite (a file, or a name in evals/suites)")
    if loaded:
        loaded = loaded.model_copy(update={"suite": chosen})
        check_laws(loaded, lambda *at: str(file))
    return Terms(chosen, manifest_path(file) if file else None, loaded)


def _load(source: Path, overrides: Sequence[str], labels: Sequence[Path]) -> Recipe:
    if source.name == "recipe.json" and not overrides and not labels:
        from glyphyard.pipeline.store import recipe_of

        return recipe_of(source.parent)
    return load_recipe(source, overrides, labels)


def dataset_of(terms: Terms, dataset: Path | None, labels: Sequence[Path], store: Path, say: Say) -> Path:
    """Return the folder of the prepared dataset that holds the set to judge by, making it where it is not there yet."""
    from glyphyard.data.catalogue import preparer_of

    if dataset is not None:
        if not (dataset / "manifest.json").is_file():
            raise BadInput(str(dataset), "holds no manifest.json", "name the folder of a prepared dataset")
        return dataset
    need = (terms.suite.split,)
    if terms.recipe is not None:
        config, capacity = terms.recipe.dataset, terms.recipe.model.capacity(terms.recipe.dataset.image.width)
    elif labels:
        config, capacity = labels_as_they_are(labels, terms.suite), ANY_LENGTH
    else:
        raise BadInput(f"suite {terms.suite.name}", "no held-out set to read", NAME_THE_SET)
    task = terms.recipe.task if terms.recipe else "recognition"  # label files are crops with texts
    return preparer_of(task).prepare(config, capacity, store.absolute(), need=need, in_process=True, say=say)


def labels_as_they_are(labels: Sequence[Path], suite: SuiteConfig) -> DatasetConfig:
    """Return the dataset of label files whose every row is held out, in whatever characters they are written."""
    from glyphyard.data.sources import list_rows

    sources = [
        PlateTsv.model_validate(
            {"kind": "plate_tsv", "name": f"labels{i}" if i else "labels", "labels": path.absolute(), "splits": (suite.split,)}
        )
        for i, path in enumerate(labels)
    ]
    characters = sorted({c for source in sources for row in list_rows(source) for c in row.text_raw})
    return DatasetConfig.model_validate(
        {"alphabet": "".join(characters), "case": "keep", "drop": "", "sources": [source.model_dump() for source in sources]}
    )


def freeze(file: Path, dataset: Path, say: Callable[[str], None]) -> str:
    """List the rows of a suite's held-out set beside the suite and return the hash to state in it."""
    from glyphyard.core.records import DatasetManifest
    from glyphyard.evaluation.held_out import difference, read_manifest
    from glyphyard.evaluation.samples import held_out, held_out_rows

    suite = load_suite(file)
    split = held_out(dataset, DatasetManifest.read(dataset / "manifest.json"), suite)
    rows: list[HeldOutRow] = held_out_rows(dataset, split)
    target = manifest_path(file)
    if target.is_file() and held_out_sha256(read_manifest(target)) != held_out_sha256(rows):
        say(f"since it was frozen: {difference(read_manifest(target), rows)}")
    digest = write_manifest(target, rows)
    say(f"{len(rows):,} rows listed in {target}")
    return digest
