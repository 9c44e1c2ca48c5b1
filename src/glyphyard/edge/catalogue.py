"""Which class runs a bundle: by the task that its bundle.json names, here and nowhere else."""

from __future__ import annotations

from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.edge.language import GREEDY
from glyphyard.edge.manifest import MANIFEST
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.restorer import Restorer

RUNNERS: dict[str, type[Recognizer] | type[Restorer]] = {"recognition": Recognizer, "super_resolution": Restorer}


def open_bundle(folder: Path | str, decode: str = GREEDY) -> Recognizer | Restorer:
    """Open a bundle of any task that reads text; both classes have `read`, `read_many`, `stream` and `resize`."""
    path = Path(folder) / MANIFEST
    described = read_json(path)
    task = described.get("task") if isinstance(described, dict) else None
    if task not in RUNNERS:
        raise BadInput(str(path), f"expected a task of {', '.join(RUNNERS)}, found {task!r}", "use the Glyphyard that wrote it")
    return RUNNERS[str(task)](folder, decode=decode)
