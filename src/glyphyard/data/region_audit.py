"""The audit of pages: what is wrong with boxes and polygons, with file and line, and what is left of each page.

Errors leave a region out; warnings keep it: a box across the border is cut there, the second of two equal ones goes.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from glyphyard.core.boxes import area, box_iou, clip
from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_bytes
from glyphyard.core.pixels import MAX_PIXELS
from glyphyard.data.findings import AuditFinding, Kind
from glyphyard.data.refusal import TooManyBad
from glyphyard.data.sources.page import Page, Region
from glyphyard.data.sources.yolo_labels import SLACK

LEAST_PX = 1.0  # a side shorter than this holds nothing to learn from
SAME = 0.95  # overlap of two boxes of one label that are one
LEAST_INSIDE = 0.5  # share of a box's area that has to lie on the image
MAX_EXAMPLES = 3
ROTATED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height; OpenCV obeys them
ORIENTATION = 0x0112


@dataclass(frozen=True)
class MarkedPage:
    """A page that can be learnt from: size and regions in pixels; `polygons[i]` is (P,2), or None where a box is all there is.

    `sha256` is that of the image's bytes, "" of a page that is drawn.
    """

    page: Page
    width: int
    height: int
    boxes: np.ndarray
    labels: tuple[str, ...]
    polygons: tuple[np.ndarray | None, ...]
    sha256: str


def audit_pages(
    pages: Sequence[Page], unlabelled: str = "negative", characters: Collection[str] | None = None
) -> tuple[list[MarkedPage], list[AuditFinding]]:
    """Check all pages (a page's id is its index here) and return those that remain, with what was found.

    `unlabelled`: what an image without annotations is, `negative` (a page with nothing on it) or `leave_out`; one whose
    annotations are all wrong is never taken for empty. `characters`: the labels there are to learn; any when absent.
    """
    marked: list[MarkedPage] = []
    findings: list[AuditFinding] = []
    for i, page in enumerate(pages):
        good, found = _audit_page(i, page, unlabelled, characters)
        findings += found
        if good:
            marked.append(good)
    return marked, findings


def _audit_page(
    number: int, page: Page, unlabelled: str, characters: Collection[str] | None
) -> tuple[MarkedPage | None, list[AuditFinding]]:
    def found(kind: Kind, line: int, detail: str) -> AuditFinding:
        return AuditFinding(kind, number, page.source, page.annotations or page.file or page.path, line, detail)

    findings = [found(problem.kind, problem.line, problem.detail) for problem in page.problems]
    if page.file is None:
        return None, findings
    if page.annotations is None:
        told = "kept as a page with nothing on it" if unlabelled == "negative" else "left out"
        findings.append(found(Kind.NO_ANNOTATIONS, 0, f"{page.path} has no annotations: {told}"))
        if unlabelled != "negative":
            return None, findings
    try:
        width, height, sha256 = measure_image(Path(page.file))
    except BadInput as error:
        kind = Kind.MISSING_IMAGE if not Path(page.file).is_file() else Kind.UNREADABLE_IMAGE
        return None, [*findings, found(kind, 0, f"{page.path}: {error.problem}")]
    kept: list[tuple[Region, np.ndarray]] = []
    for region in page.regions:
        outline = np.array(region.outline, np.float64).reshape(-1, 2) * ([width, height] if page.relative else 1)
        wrong = list(
            _check_region(region, outline, width, height, characters, [_box(o) for r, o in kept if r.label == region.label])
        )
        findings += [found(kind, region.line, detail) for kind, detail in wrong]
        if all(kind in (Kind.CUT_BY_BORDER, Kind.SELF_CROSSING) for kind, _ in wrong):
            kept.append((region, np.clip(outline, 0, [width, height])))
    if not kept and (page.regions or page.problems):
        return None, findings  # it is not empty, it is broken
    boxes = np.array([_box(outline) for _, outline in kept]).reshape(-1, 4)
    polygons = tuple(None if region.is_box else outline for region, outline in kept)
    return MarkedPage(page, width, height, boxes, tuple(r.label for r, _ in kept), polygons, sha256), findings


def _box(outline_P2: np.ndarray) -> np.ndarray:
    return np.concatenate([outline_P2.min(0), outline_P2.max(0)])


def _check_region(
    region: Region, outline: np.ndarray, width: int, height: int, characters: Collection[str] | None, others: list[np.ndarray]
) -> Iterator[tuple[Kind, str]]:
    name = f"{'box' if region.is_box else 'polygon'} {region.label!r}"
    if characters is not None and region.label not in characters:
        yield Kind.UNKNOWN_CHARACTER, f"{name}: the label is not in the alphabet"
        return
    box = _box(outline)
    if region.is_box:  # corners in the order they stand in: a negative width turns them round
        box = outline.reshape(-1)
    sides = box[2:] - box[:2]
    crossing = None if region.is_box else self_crossing(outline)  # the signed areas of its loops cancel out
    if (sides < LEAST_PX).any() or not (region.is_box or crossing or polygon_area(outline) >= LEAST_PX):
        yield Kind.EMPTY_REGION, f"{name} is {sides[0]:.1f}x{sides[1]:.1f} px"
        return
    inside = clip(box, width, height)
    share = float(area(inside) / area(box))
    if share < LEAST_INSIDE:
        yield Kind.OUTSIDE_IMAGE, f"{name} at {_shown(box)} lies {1 - share:.0%} outside the image of {width}x{height} px"
        return
    if others and float(box_iou(inside[None], np.array(others)).max()) >= SAME:
        yield Kind.DUPLICATE_REGION, f"{name} at {_shown(box)} stands here twice"
        return
    if (np.abs(inside - box) > np.array([width, height] * 2) * SLACK + 1).any():
        yield Kind.CUT_BY_BORDER, f"{name} at {_shown(box)} reaches over the border of {width}x{height} px"
    if crossing:
        yield Kind.SELF_CROSSING, f"{name}: its sides {crossing[0] + 1} and {crossing[1] + 1} cross; filled by the even-odd rule"


def _shown(box: np.ndarray) -> str:
    return "[" + ", ".join(f"{v:.0f}" for v in box) + "]"


def polygon_area(points_P2: np.ndarray) -> float:
    """Return the area of a polygon (the shoelace formula)."""
    x, y = points_P2[:, 0], points_P2[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def self_crossing(points_P2: np.ndarray) -> tuple[int, int] | None:
    """Return the first two sides of a polygon that cross in their insides, None if none do; touching is not crossing."""
    a, b = points_P2, np.roll(points_P2, -1, axis=0)

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        return np.sign((q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0]))

    i, j = np.triu_indices(len(a), 2)
    crosses = (side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0) & (side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0)
    first = np.flatnonzero(crosses)
    return (int(i[first[0]]), int(j[first[0]])) if len(first) else None


def measure_image(path: Path) -> tuple[int, int, str]:
    """Return width and height in pixels, as OpenCV would decode them, and the SHA-256; only the header is decoded."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError is a NUL byte in the path
        raise BadInput(str(path), f"cannot read this image ({getattr(error, 'strerror', None) or error})") from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            (width, height), turned = image.size, image.getexif().get(ORIENTATION) in ROTATED
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(str(path), "expected an image, found bytes that cannot be decoded") from error
    if width * height > MAX_PIXELS:
        raise BadInput(str(path), f"{width}x{height} is more than {MAX_PIXELS / 1e6:g} megapixels", "scale it down")
    if data[:2] == b"\xff\xd8" and b"\xff\xd9" not in data[-64:]:
        raise BadInput(str(path), "truncated JPEG (it has no end marker)", "copy it again or leave it out")
    return (height, width, sha256_bytes(data)) if turned else (width, height, sha256_bytes(data))


def refuse_too_many_bad_regions(pages: Sequence[Page], findings: Sequence[AuditFinding], most: float) -> None:
    """Raise `TooManyBad` where more than the share `most` of a source's regions and pages is bad, naming the first ones."""
    listed = Counter(page.source for page in pages for _ in (page, *page.regions, *page.problems))
    errors = [f for f in findings if f.severity == "error"]
    for source, bad in Counter(f.source for f in errors).items():
        if bad <= most * listed[source]:
            continue
        first, *others = [f for f in errors if f.source == source]
        also = "".join(f"; {f.file}:{f.line}: {f.detail}" for f in others[: MAX_EXAMPLES - 1])
        problem = f"{first.kind.value}: {first.detail}; {bad} of {listed[source]} regions and pages of {source} are bad, more than {most:.1%}{also}"
        raise TooManyBad(f"{first.file}:{first.line}", problem, [f for f in findings if f.source == source])
