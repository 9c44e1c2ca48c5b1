"""Which class runs a bundle: by the task that its bundle.json names, here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.edge.bundle import verify_files
from glyphyard.edge.detector import Detector
from glyphyard.edge.language import GREEDY
from glyphyard.edge.manifest import MANIFEST, BundleManifest, read_manifest
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.restorer import Restorer, RestorerManifest, read_restorer_manifest
from glyphyard.edge.segmenter import Segmenter, SegmenterManifest, read_segmenter_manifest

Reader = Recognizer | Restorer | Segmenter
RUNNERS: dict[str, type[Recognizer] | type[Restorer] | type[Segmenter]] = {
    "recognition": Recognizer,
    "super_resolution": Restorer,
    "segmentation": Segmenter,
}
MANIFESTS: dict[str, Callable[[Path], BundleManifest | RestorerManifest | SegmenterManifest]] = {
    "recognition": read_manifest,
    "super_resolution": read_restorer_manifest,
    "segmentation": read_segmenter_manifest,
}
FINDERS: dict[str, type[Detector]] = {"detection": Detector}


def open_bundle(
    folder: Path | str, decode: str = GREEDY, providers: Sequence[str] | None = None, replay_golden: bool = True
) -> Reader:
    """Open a bundle of any task that reads text; arguments are those of `Recognizer`.

    All classes have `read`, `read_many`, `stream`, `resize`, `replay`, `most_waiting`, `providers` and `sha256`.
    """
    return RUNNERS[task_of(folder)](folder, providers, replay_golden=replay_golden, decode=decode)


def files_of(folder: Path | str) -> dict[str, str]:
    """Return the files that the bundle.json of a bundle that reads text names, each with its SHA-256; they need not be there."""
    return MANIFESTS[task_of(folder)](Path(folder) / MANIFEST).files


def verify_bundle(folder: Path | str) -> str:
    """Hold every file of a bundle that reads text against its bundle.json and return that one's SHA-256; needs no runtime.

    Anything missing, altered, strange or outside the folder is a `BadInput`.
    """
    root = Path(folder).resolve()
    return verify_files(root, files_of(root))


def open_finder(folder: Path | str) -> Detector:
    """Open a bundle of any task that finds things on a page; such classes have `find` and `find_many`."""
    return FINDERS[task_of(folder, FINDERS)](folder)


def task_of(folder: Path | str, known: Collection[str] = tuple(RUNNERS)) -> str:
    """Return the task that a bundle.json names; one that is not in `known` is a `BadInput`."""
    path = Path(folder) / MANIFEST
    described = read_json(path)
    task = str(described.get("task") if isinstance(described, dict) else None)
    if task in known:
        return task
    remedy = "use the Glyphyard that wrote it"
    if task in RUNNERS:
        remedy = "it reads crops: give it as BUNDLE, or after --reader"
    if task in FINDERS:
        remedy = "it finds regions on pages: `glyphyard predict` takes it after --detector"
    raise BadInput(str(path), f"expected a bundle of task {' or '.join(known)}, found {task[:40]!r}", remedy)
