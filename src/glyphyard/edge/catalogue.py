"""Which class runs a bundle: by the task that its bundle.json names, here and nowhere else."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.edge.detector import Detector
from glyphyard.edge.language import GREEDY
from glyphyard.edge.manifest import MANIFEST
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.restorer import Restorer
from glyphyard.edge.segmenter import Segmenter

Reader = Recognizer | Restorer | Segmenter
RUNNERS: dict[str, type[Recognizer] | type[Restorer] | type[Segmenter]] = {
    "recognition": Recognizer,
    "super_resolution": Restorer,
    "segmentation": Segmenter,
}
FINDERS: dict[str, type[Detector]] = {"detection": Detector}


def open_bundle(folder: Path | str, decode: str = GREEDY) -> Reader:
    """Open a bundle of any task that reads text; all classes have `read`, `read_many`, `stream`, `resize` and `most_waiting`."""
    return RUNNERS[_task_of(folder, RUNNERS)](folder, decode=decode)


def open_finder(folder: Path | str) -> Detector:
    """Open a bundle of any task that finds things on a page; such classes have `find` and `find_many`."""
    return FINDERS[_task_of(folder, FINDERS)](folder)


def _task_of(folder: Path | str, known: Collection[str]) -> str:
    path = Path(folder) / MANIFEST
    described = read_json(path)
    task = str(described.get("task") if isinstance(described, dict) else None)
    if task in known:
        return task
    remedy = "use the Glyphyard that wrote it"
    if task in RUNNERS:
        remedy = "it reads crops: give it as BUNDLE, or after --reader"
    if task in FINDERS:
        remedy = "it finds regions on pages: give it after --detector"
    raise BadInput(str(path), f"expected a bundle of task {' or '.join(known)}, found {task!r}", remedy)
