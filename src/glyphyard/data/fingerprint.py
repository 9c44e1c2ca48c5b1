"""The identity of a prepared dataset: what went in, never where it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphyard.core.capacity import Capacity
from glyphyard.core.files import canonical_json, fingerprint, sha256_file
from glyphyard.data.hashing import file_hashes
from glyphyard.data.sources import Row, list_rows
from glyphyard.recipe.dataset import AnySource, DatasetConfig, PageSource, SyntheticPlates, SyntheticWords

PREPARE_VERSION = 1  # raise it when the same input gives other shards
PLACES = {"labels", "images", "metadata", "hr_images", "lr_images"}
YOUNGER = ("min_width_px", "low_resolution")  # fields that say nothing when absent: what was prepared before them stays good


def dataset_folder(store: Path, fingerprint_: str) -> Path:
    """Return where the prepared dataset of this fingerprint lies."""
    return Path(store) / "datasets" / fingerprint_


@dataclass(frozen=True)
class Identity:
    """A dataset's fingerprint and the SHA-256 of every image file that it stands on."""

    fingerprint: str
    hashes: dict[str, str]


def identify(dataset: DatasetConfig, capacity: Capacity, store: Path, known_only: bool = False) -> Identity | None:
    """Identify a dataset by its config without paths, its label and image bytes, and the code's versions.

    `known_only` reads no image and returns None where one would have to be read.
    """
    listed = {
        source.name: list_rows(source) for source in dataset.sources if not isinstance(source, SyntheticPlates | SyntheticWords)
    }
    files = [file for rows in listed.values() for row in rows for file in (row.file, row.low) if file]
    hashes = file_hashes(files, Path(store), known_only)
    if hashes is None:
        return None
    config = dataset.model_dump(mode="json")
    config["sources"] = [_without_young({k: v for k, v in source.items() if k not in PLACES}) for source in config["sources"]]
    content = {source.name: _content(source, listed.get(source.name, []), hashes) for source in dataset.sources}
    if dataset.low_resolution:
        content["low_resolution"] = sha256_file(Path(__file__).parent / "degrade.py")
        content["hashed"] = "both sides"  # what was prepared before is known by its high sides alone
    whole = {"config": _without_young(config), "time_steps": capacity.places, "content": content, "prepare": PREPARE_VERSION}
    if not capacity.blanks:
        whole["blanks"] = False  # what was prepared for CTC keeps its name
    if capacity.layout != "none":
        whole["layout"] = capacity.layout
    if _plates_by_track(dataset):
        whole["plates_by_track"] = "yield by text"  # before, one plate could stand on two sides there; others stay as they are
    return Identity(fingerprint(whole), hashes)


def _plates_by_track(dataset: DatasetConfig) -> bool:
    """Say whether listed plates are grouped by anything but their text."""
    real = [source for source in dataset.sources if source.text_is_plate and not isinstance(source, SyntheticPlates)]
    return any((source.group_by or dataset.split.group_by) != "text" for source in real)


def _without_young(config: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if k not in YOUNGER or v is not None}


def dataset_fingerprint(dataset: DatasetConfig, capacity: Capacity, store: Path) -> str:
    """Return the name of the prepared dataset; images are read only where they are new or changed."""
    identity = identify(dataset, capacity, store)
    assert identity is not None
    return identity.fingerprint


def find_prepared(dataset: DatasetConfig, capacity: Capacity, store: Path) -> Path | None:
    """Return the prepared dataset's folder if it is there and no image has to be read to know it (`plan`)."""
    identity = identify(dataset, capacity, store, known_only=True)
    if identity is None:
        return None
    folder = dataset_folder(store, identity.fingerprint)
    return folder if (folder / "manifest.json").is_file() else None


def _content(source: AnySource, rows: Sequence[Row], hashes: dict[str, str]) -> Any:
    if isinstance(source, SyntheticPlates):
        return {"synth": _synthesis_code()}
    if isinstance(source, SyntheticWords):
        here = Path(__file__).parent
        return {"words": [sha256_file(here / name) for name in ("synth_words.py", "synth/dice.py")]}
    assert not isinstance(source, PageSource)  # law GY076; pages are named by prepare_pages
    images = hashlib.sha256()
    for row in rows:
        sides = [hashes.get(file, "") for file in (row.file or "", row.low) if file is not None]
        images.update(canonical_json([row.path, *sides]).encode("utf-8"))
    listed = getattr(source, "metadata", None)
    metadata = sha256_file(listed) if listed else None
    return {"labels": sha256_file(source.labels), "metadata": metadata, "images": images.hexdigest()}


def _synthesis_code() -> str:
    """Hash the code that renders plates: whoever changes it gets other plates, and no number has to be raised for that."""
    package = Path(__file__).parent / "synth"  # hashed, not imported: `plan` has no time for OpenCV
    return fingerprint({path.name: sha256_file(path) for path in sorted(package.glob("*.py"))})
