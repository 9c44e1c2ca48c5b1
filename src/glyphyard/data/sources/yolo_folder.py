"""`yolo_folder`: images with YOLO labels, as ultralytics, Roboflow and LabelImg lay them out.

A dataset.yaml (or data.yaml) says where the splits lie and what the classes are called; without one, every image below the
folder counts, its split is a folder's name (train, val, valid, test) and classes.txt or the recipe names the classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.data.findings import Kind
from glyphyard.data.sources.page import Page, Problem
from glyphyard.data.sources.yolo_labels import read_yolo_labels
from glyphyard.recipe.dataset import Split, YoloFolder

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
YAMLS = ("dataset.yaml", "data.yaml", "dataset.yml", "data.yml")
CLASS_FILES = ("classes.txt", "obj.names", "classes.names")
SIDES: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Layout:
    """Where a YOLO data set lies: its root, its classes, and its image folders or lists with the split that each declares."""

    root: Path
    names: tuple[str, ...]
    places: tuple[tuple[Path, Split | None], ...]


def list_yolo_folder(source: YoloFolder) -> list[Page]:
    """List the pages in the order of their paths; a folder that is missing, empty or without classes is a `BadInput`."""
    layout = find_layout(Path(source.folder), source.classes)
    one = source.one_class
    pages: dict[str, Page] = {}
    for place, side in layout.places:
        for image in _images(place, layout.root):
            page = _page(source.name, image, layout, side)
            if one:
                page = _renamed(page, one)
            pages.setdefault(str(image), page)
    if not pages:
        raise BadInput(
            str(source.folder), "no image lies here", f"expected {', '.join(SUFFIXES)} below it, labels beside or in `labels`"
        )
    orphans = [_orphan(source.name, label, layout.root) for label in _labels_without_image(layout, pages)]
    return [pages[key] for key in sorted(pages)] + orphans


def find_layout(folder: Path, classes: tuple[str, ...] | None) -> Layout:
    """Find out how a data set is laid out; `folder` may also be its YAML file. `classes` wins over what lies there."""
    folder = folder.absolute()
    if folder.is_file() and folder.suffix in (".yaml", ".yml"):
        return _of_yaml(folder, classes)
    if not folder.is_dir():
        raise BadInput(str(folder), "no such folder", "give the folder of a YOLO data set, or its dataset.yaml")
    for name in YAMLS:
        if (folder / name).is_file():
            return _of_yaml(folder / name, classes)
    return Layout(folder, classes or _class_file(folder) or ("handwriting",), ((folder, None),))


def _class_file(folder: Path) -> tuple[str, ...] | None:
    for place in (folder, folder / "labels", folder / "images"):
        for name in CLASS_FILES:
            if (place / name).is_file():
                lines = (place / name).read_text(encoding="utf-8-sig", errors="replace").splitlines()
                return tuple(line.strip() for line in lines if line.strip()) or None
    return None


def _of_yaml(path: Path, classes: tuple[str, ...] | None) -> Layout:
    value = _read_yaml(path)
    root = path.parent / str(value.get("path") or ".")
    if not root.is_dir():
        root = path.parent  # a path of another machine
    places = [
        (found, side) for key, side in SIDES.items() for entry in _entries(value.get(key)) if (found := _place(root, entry))
    ]
    if not places:
        raise BadInput(str(path), "none of its train, val and test is a folder or a list here", "correct the paths in it")
    return Layout(root, classes or _names(value, path), tuple(places))


def _read_yaml(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML, YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise BadInput(str(path), f"expected a YAML file ({str(error).splitlines()[0]})") from error
    if not isinstance(value, dict):
        raise BadInput(str(path), f"expected keys and values, found {type(value).__name__}")
    return value


def _names(value: dict[str, Any], path: Path) -> tuple[str, ...]:
    names = value.get("names")
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise BadInput(str(path), f"expected `names` to number the classes from 0, found {sorted(map(str, names))[:8]}")
        names = [names[k] for k in range(len(names))]
    if not isinstance(names, list) or not names:
        raise BadInput(str(path), f"expected `names` of the classes, found {names!r}", "name them, e.g. names: {0: handwriting}")
    if "nc" in value and value["nc"] != len(names):
        raise BadInput(str(path), f"`nc: {value['nc']}` against {len(names)} names", "correct one of them")
    return tuple(str(name) for name in names)


def _entries(value: Any) -> list[str]:
    return [str(entry) for entry in (value if isinstance(value, list) else [value])] if value else []


def _place(root: Path, entry: str) -> Path | None:
    """Return the folder or list of an entry; Roboflow writes `../train/images` for `train/images`."""
    return next((p for p in (root / entry, root / entry.removeprefix("../")) if p.exists()), None)


def _images(place: Path, root: Path) -> Iterator[Path]:
    if place.is_file():  # a list of paths
        for line in place.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            if line.strip():
                yield Path(os.path.normpath(root / line.strip()))
        return
    for folder, folders, files in os.walk(place):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(os.path.normpath(os.path.join(folder, name)))


def _page(source: str, image: Path, layout: Layout, side: Split | None) -> Page:
    path = os.path.relpath(image, layout.root)
    labels = next((p for p in _label_places(image) if p.is_file()), None)
    split = side or next((SIDES[part] for part in Path(path).parts[:-1] if part in SIDES), None)
    if labels is None:
        return Page(source, path, str(image), None, relative=True, split=split)
    regions, problems = read_yolo_labels(labels, layout.names)
    return Page(source, path, str(image), str(labels), tuple(regions), tuple(problems), relative=True, split=split)


def _label_places(image: Path) -> Iterator[Path]:
    parts = list(image.parts)
    for k in range(len(parts) - 2, -1, -1):
        if parts[k] == "images":
            yield Path(*parts[:k], "labels", *parts[k + 1 :]).with_suffix(".txt")
            break
    yield image.with_suffix(".txt")
    yield image.parent / "labels" / f"{image.stem}.txt"


def _labels_without_image(layout: Layout, pages: dict[str, Page]) -> list[Path]:
    used = {page.annotations for page in pages.values()}
    folders = {Path(label).parent for label in used if label}
    there = [p for folder in sorted(folders) for p in sorted(folder.glob("*.txt")) if p.name not in CLASS_FILES]
    listed = {str(place) for place, _ in layout.places}
    return [p for p in there if str(p) not in used and str(p) not in listed and p.name.lower() != "readme.txt"]


def _orphan(source: str, label: Path, root: Path) -> Page:
    problem = Problem(Kind.NO_IMAGE, 0, "no image goes with these labels")
    return Page(source, os.path.relpath(label, root), None, str(label), (), (problem,), relative=True)


def _renamed(page: Page, label: str) -> Page:
    from dataclasses import replace

    return replace(page, regions=tuple(replace(region, label=label) for region in page.regions))
