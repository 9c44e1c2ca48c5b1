"""`import yolo`: a folder of LabelImg, Roboflow or ultralytics → an audited YOLO folder with all three splits."""

from __future__ import annotations

from pathlib import Path

from glyphyard.core.errors import BadInput
from glyphyard.core.pixels import decode_image
from glyphyard.data.findings import AuditFinding, Kind
from glyphyard.data.imports.folder import Import, Say, importing
from glyphyard.data.page_set import deal
from glyphyard.data.region_audit import audit_pages, refuse_too_many_bad_regions
from glyphyard.data.sources.yolo_folder import find_layout, list_yolo_folder
from glyphyard.recipe.dataset import SplitConfig, YoloFolder


def import_yolo(source: YoloFolder, out: Path, split: SplitConfig, most_bad: float, say: Say) -> Import:
    """Write the pages of `source` to the new folder `out`: images as they are, labels without what the audit left out.

    Splits that the folder has are kept; other pages are dealt out by hash, equal images together. More bad regions than the
    share `most_bad` are a `BadInput`.
    """
    names = (source.one_class,) if source.one_class else find_layout(Path(source.folder), source.classes).names
    pages = list_yolo_folder(source)
    marked, findings = audit_pages(pages, source.unlabelled)
    refuse_too_many_bad_regions(pages, findings, most_bad)
    sides, moved = deal(marked, split)
    with importing(out, names, say) as made:
        made.findings += [*findings, *moved]
        for side, kept in sides.items():
            for page in kept:
                file = Path(page.page.file or "")
                data = file.read_bytes()
                try:
                    image = decode_image(data, str(file))
                except BadInput as error:
                    found = AuditFinding(
                        Kind.UNREADABLE_IMAGE, 0, source.name, str(file), 0, f"{page.page.path}: {error.problem}"
                    )
                    made.findings.append(found)
                    continue
                made.put(side, page.page.path, data, image, page.boxes, page.labels)
    return made
