"""All outlined plates of a data set: listed, audited, and each on its side of the split; no plate's text stands on two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.reading_order import plate_rows, read_characters
from glyphyard.data.findings import AuditFinding, Kind, by_kind
from glyphyard.data.page_set import PageSet, deal, give_groups
from glyphyard.data.region_audit import MarkedPage, audit_pages, refuse_too_many_bad_regions
from glyphyard.data.sources.page import Page
from glyphyard.data.sources.pages import list_pages
from glyphyard.data.split import STRENGTH, assign
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, PageSource, Split

Sides = dict[Split, list[MarkedPage | Page]]  # a Page is drawn when its turn comes


@dataclass(frozen=True)
class PlateSet:
    """Plates by split and what the audit found; `listed` counts the images of each source."""

    sides: Sides
    findings: list[AuditFinding]
    listed: dict[str, int]

    def as_pages(self) -> PageSet:
        """Return the same as pages: those that lie in files, and those that are drawn."""
        files = {split: [p for p in self.sides[split] if isinstance(p, MarkedPage)] for split in SPLITS}
        drawn = {split: [p for p in self.sides[split] if isinstance(p, Page)] for split in SPLITS}
        return PageSet(files, drawn, self.findings, sum(self.listed.values()))

    def report(self, alphabet: Alphabet) -> dict[str, Any]:
        """Return what stands in audit.json; statistics are those of plates that lie in files."""
        texts = [text_of(plate) for side in self.sides.values() for plate in side]
        characters = Counter("".join(texts))
        known = set(alphabet.canonical("".join(characters)))
        return {
            "schema_version": 1,
            "rows": {
                name: {"listed": count, **{s: sum(page_of(p).source == name for p in self.sides[s]) for s in SPLITS}}
                for name, count in self.listed.items()
            },
            "statistics": {
                "label_lengths": {str(n): count for n, count in sorted(Counter(map(len, texts)).items())},
                "characters": dict(sorted(characters.items())),
                "characters_never_seen": [c for c in alphabet.characters if c not in known and c not in alphabet.fold],
            },
            "counts": by_kind(self.findings),
            "findings": [f.to_json() for f in self.findings],
        }


def page_of(plate: MarkedPage | Page) -> Page:
    """Return the page that a plate was listed as."""
    return plate.page if isinstance(plate, MarkedPage) else plate


def text_of(plate: MarkedPage | Page) -> str:
    """Return what a plate reads: row after row, left to right."""
    if isinstance(plate, MarkedPage):
        return read_characters(plate.boxes, plate.labels)
    return plate.group or ""  # a drawn one is grouped by its text


def gather_plates(dataset: DatasetConfig) -> PlateSet:
    """List, audit and split the plates of all sources; too many bad regions or an empty source are a `BadInput`.

    Labels are normalised as texts are; what the dataset drops is no character. Groups are hashed to a side, the plate's text
    being the group unless `group_by` says otherwise; a group or a text that stands on two sides stays on the stronger one.
    """
    alphabet = dataset.the_alphabet()
    known = {*alphabet.characters, *alphabet.fold}
    every: list[MarkedPage] = []
    drawn: list[Page] = []
    findings: list[AuditFinding] = []
    listed: dict[str, int] = {}
    for source in dataset.sources:
        assert isinstance(source, PageSource)  # law GY076
        pages = list_pages(source)
        listed[source.name] = len(pages)
        if pages and pages[0].render:
            drawn += [replace(p, group=alphabet.canonical(dataset.normalise(p.group or ""))) for p in pages]
            continue
        pages = [_normalised(page, dataset) for page in pages]
        marked, found = audit_pages(pages, getattr(source, "unlabelled", "negative"), known)
        refuse_too_many_bad_regions(pages, found, dataset.max_bad_fraction)
        findings += found
        grouped, apart = give_groups(marked, source, dataset.split, lambda plate: alphabet.canonical(text_of(plate)))
        every += grouped
        findings += apart
    allowed = {source.name: source.splits for source in dataset.sources}
    dealt, moved = deal(every, dataset.split, allowed)
    sides: Sides = {split: list(dealt[split]) for split in SPLITS}
    for page in drawn:
        sides[assign(page.group or page.path, dataset.split, allowed[page.source])].append(page)
    kept, weaker = _apart(sides, alphabet)
    return PlateSet(kept, [*findings, *moved, *weaker], listed)


def _normalised(page: Page, dataset: DatasetConfig) -> Page:
    regions = [replace(region, label=dataset.normalise(region.label)) for region in page.regions]
    return replace(page, regions=tuple(region for region in regions if region.label))


def _apart(sides: Sides, alphabet: Alphabet) -> tuple[Sides, list[AuditFinding]]:
    """Leave plates out whose group or text stands on another, stronger side: a file's side is stronger than any drawn plate's."""

    def rank(standing: tuple[Split, MarkedPage | Page]) -> tuple[bool, int]:
        split, plate = standing
        return isinstance(plate, MarkedPage), STRENGTH[split]

    holders: dict[tuple[str, str], tuple[Split, str]] = {}  # what is left out itself makes nobody yield
    kept: Sides = {split: [] for split in SPLITS}
    findings: list[AuditFinding] = []
    for split, plate in sorted(_every(sides), key=rank, reverse=True):
        page = page_of(plate)
        names = {"group": page.group or "", "text": alphabet.canonical(text_of(plate))}
        keys = [(what, name) for what, name in names.items() if name]
        elsewhere = [holders[key] for key in keys if key in holders and holders[key][0] != split]
        if not elsewhere:
            kept[split].append(plate)
            for key in keys:
                holders.setdefault(key, (split, page.path))
            continue
        side, other = elsewhere[0]
        detail = f"{page.path} is left out of {split}: the same plate stands in {side} ({other})"
        findings.append(AuditFinding(Kind.HELD_OUT_ELSEWHERE, 0, page.source, page.file or page.path, 0, detail))
    return kept, findings


def _every(sides: Sides) -> Iterator[tuple[Split, MarkedPage | Page]]:
    return chain.from_iterable(((split, plate) for plate in sides[split]) for split in SPLITS)


def rows_in(boxes: np.ndarray) -> int:
    """Return in how many rows characters stand."""
    return len(plate_rows(boxes)) if len(boxes) else 0
