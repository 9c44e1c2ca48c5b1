"""The common end of all imports: pages become a YOLO folder with its audit and a picture to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.files import write_json
from glyphyard.core.folders import atomic_folder
from glyphyard.core.pixels import write_png
from glyphyard.data.findings import AuditFinding, by_kind, told
from glyphyard.data.region_sheet import draw_regions, page_sheet
from glyphyard.data.yolo_folder_writer import label_lines, make_folders, put_page, write_yaml
from glyphyard.recipe.dataset import SPLITS, Split

ON_SHEET = 24
Say = Callable[[str], None]


@dataclass
class Import:
    """A YOLO folder in the making: how many pages and boxes stand in each split, what was found, and what the sheet shows."""

    folder: Path
    names: tuple[str, ...]
    pages: Counter[Split] = field(default_factory=Counter)
    boxes: Counter[Split] = field(default_factory=Counter)
    findings: list[AuditFinding] = field(default_factory=list)
    shown: list[tuple[np.ndarray, str]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def put(
        self, split: Split, name: str, encoded: bytes, image: np.ndarray, boxes_N4: np.ndarray, labels: tuple[str, ...]
    ) -> None:
        """Add one page: its encoded image under a name that no other page has, and its boxes in pixels."""
        height, width = image.shape[:2]
        classes = [self.names.index(label) for label in labels]
        put_page(self.folder, split, self._own_name(name), encoded, label_lines(boxes_N4, classes, width, height))
        self.pages[split] += 1
        self.boxes[split] += len(classes)
        if len(self.shown) < ON_SHEET:
            picture = draw_regions(image, boxes_N4, labels)
            scale = min(1.0, 700 / max(picture.shape[:2]))
            small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self.shown.append((small, f"{split}: {name}, {len(classes)} boxes"))

    def _own_name(self, name: str) -> str:
        """Return the last part of a path, or all of it where that is taken: one name for image and labels, in every split."""
        path = Path(name)
        chosen = path.name
        if path.stem.lower() in self.used:
            chosen = "_".join(path.parts)
        number = 1
        while Path(chosen).stem.lower() in self.used:
            number += 1
            chosen = f"{path.stem}_{number}{path.suffix}"
        self.used.add(Path(chosen).stem.lower())
        return chosen

    def summary(self) -> dict[str, Any]:
        """Return what stands in audit.json."""
        return {
            "schema_version": 1,
            "pages": {split: self.pages[split] for split in SPLITS},
            "boxes": {split: self.boxes[split] for split in SPLITS},
            "names": list(self.names),
            "counts": by_kind(self.findings),
            "findings": [f.to_json() for f in self.findings],
        }


@contextmanager
def importing(out: Path, names: tuple[str, ...], say: Say) -> Iterator[Import]:
    """Yield an import that becomes the new folder `out` when it ends well; one without a page to train on is a `BadInput`."""
    if out.exists():
        raise BadInput(str(out), "this folder is there already", "choose another one")
    with atomic_folder(out.absolute()) as folder:
        make_folders(folder)
        made = Import(folder, names)
        yield made
        if not made.pages["train"]:
            found = ", ".join(f"{made.pages[s]} {s}" for s in SPLITS)
            raise BadInput(str(out), f"no page is left to train on ({found})", "see the findings; lower --validation and --test")
        write_yaml(folder, names)
        write_json(folder / "audit.json", made.summary())
        write_png(folder / "boxes.png", page_sheet([p for p, _ in made.shown], [c for _, c in made.shown]))
    for line in told(made.findings):
        say(line)
    for split in SPLITS:
        if not made.pages[split]:
            say(f"import: the {split} split is empty")
