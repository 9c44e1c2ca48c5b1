"""`import iam`: the archives of the IAM Handwriting Database, or what was unpacked from them → a YOLO folder.

Nothing is unpacked to disk: annotations are read first, forms are streamed. No password is ever asked for: the data is
downloaded with a browser, by whoever has an account there.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from glyphyard.core.boxes import area, clip
from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import decode_image
from glyphyard.data.findings import AuditFinding, Kind
from glyphyard.data.imports.archive import is_archive, members
from glyphyard.data.imports.folder import Import, Say, importing
from glyphyard.data.imports.iam_labels import Form, IamLabels
from glyphyard.data.split import assign
from glyphyard.data.yolo_folder_writer import FOLDERS
from glyphyard.recipe.dataset import SPLITS, SplitConfig

HOME = "https://fki.tic.heia-fr.ch/databases/iam-handwriting-database"
REMEDY = (
    f"register at {HOME}, download formsA-D.tgz, formsE-H.tgz, formsI-Z.tgz and xml.tgz (or ascii.tgz) with your browser into one"
    " folder, then: glyphyard import iam FOLDER OUT; no password belongs on this command line"
)
CLASS = "handwriting"
SOURCE = "iam"
TABLES = ("lines.txt", "forms.txt")
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 92]
LEAST_INSIDE = 0.5


def import_iam(place: Path, out: Path, split: SplitConfig, max_side: int, say: Say) -> Import:
    """Write all forms of which lines are known to the new folder `out`, at most `max_side` pixels long, split by writer.

    Beside the YOLO folder stands lines.csv with the text of each box. A place without forms, lines or writers is a
    `BadInput` that says how to get them.
    """
    labels = IamLabels()
    for name, data in _files(place, lambda name: name.lower().endswith(".xml") or PurePosixPath(name).name.lower() in TABLES):
        labels.read(name, data)
    if not any(form.lines for form in labels.forms.values()):
        raise BadInput(str(place), "no annotations of the IAM database lie here", REMEDY)
    with importing(out, (CLASS,), say) as made, (made.folder / "lines.csv").open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened)
        table.writerow(("split", "image", "x1", "y1", "x2", "y2", "text", "writer"))
        made.findings += [AuditFinding(Kind.MALFORMED_LINE, 0, SOURCE, *problem) for problem in labels.problems]
        seen: set[str] = set()
        for name, data in _files(place, lambda name: name.lower().endswith(".png")):
            number = PurePosixPath(name).stem
            if number in labels.forms and number not in seen:
                seen.add(number)
                _put_form(made, table, split, max_side, name, data, labels.forms[number])
                if len(seen) % 100 == 0:
                    say(f"import: {len(seen)} of {len(labels.forms)} forms")
        if not seen:
            raise BadInput(str(place), "no form's image lies here (a01-000u.png …)", REMEDY)
        missing = sorted(set(labels.forms) - seen)
        made.findings += [
            AuditFinding(Kind.NO_IMAGE, 0, SOURCE, labels.forms[n].told_in or "forms.txt", 0, f"no image of form {n}")
            for n in missing
        ]
    return made


def _files(place: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the wanted files of a folder, of the archives in it, or of one archive."""
    if place.is_file():
        if not is_archive(place):
            raise BadInput(str(place), "expected a folder or a .tgz, .tar or .zip archive", REMEDY)
        yield from members(place, wanted)
        return
    if not place.is_dir():
        raise BadInput(str(place), "no such folder or archive", REMEDY)
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_symlink():
                continue
            if is_archive(path):
                yield from members(path, wanted)
            elif wanted(name):
                yield str(path), path.read_bytes()


def _put_form(made: Import, table: Any, split: SplitConfig, max_side: int, name: str, data: bytes, form: Form) -> None:
    number = PurePosixPath(name).stem

    def found(kind: Kind, line: int, detail: str) -> None:
        made.findings.append(AuditFinding(kind, 0, SOURCE, form.told_in or name, line, detail))

    if not form.writer:
        return found(Kind.NO_GROUP, 0, f"nobody says who wrote form {number}: it could stand on two sides of the split")
    if not form.lines:
        return found(Kind.NO_ANNOTATIONS, 0, f"form {number} has no lines: left out")
    try:
        image = decode_image(data, name)
    except BadInput as error:
        return found(Kind.UNREADABLE_IMAGE, 0, f"{number}: {error.problem}")
    height, width = image.shape[:2]
    kept = []
    for line in form.lines:
        box = np.array(line.box)
        inside = clip(box, width, height)
        if not area(box) or area(inside) < LEAST_INSIDE * area(box):
            found(
                Kind.OUTSIDE_IMAGE,
                line.line,
                f"{number}: a line at {[round(v) for v in line.box]} on a form of {width}x{height} px",
            )
        else:
            kept.append((inside, line.text))
    scale = min(1.0, max_side / max(width, height))
    small = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    factor = np.array([small.shape[1] / width, small.shape[0] / height] * 2)
    boxes = np.array([box for box, _ in kept]).reshape(-1, 4) * factor
    side = assign(f"iam writer {form.writer}", split, SPLITS)
    encoded = cv2.imencode(".jpg", small, QUALITY)[1].tobytes()
    made.put(side, f"{number}.jpg", encoded, small, boxes, (CLASS,) * len(kept))
    for box, (_, text) in zip(boxes, kept, strict=True):
        table.writerow([FOLDERS[side], f"{number}.jpg", *(f"{v:.1f}" for v in box), text, form.writer])
    return None
