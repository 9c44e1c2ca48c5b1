"""All pages of a data set: listed, audited, and each on its side of the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glyphyard.data.findings import AuditFinding, Kind, by_kind
from glyphyard.data.region_audit import MarkedPage, audit_pages, refuse_too_many_bad_regions
from glyphyard.data.sources.pages import Page, list_pages
from glyphyard.data.sources.row import Row
from glyphyard.data.split import STRENGTH, assign, group_of, unite
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, PageSource, Split, SplitConfig


@dataclass(frozen=True)
class PageSet:
    """Pages by split, drawn pages (`render`) with theirs, and what the audit found."""

    pages: dict[Split, list[MarkedPage]]
    drawn: dict[Split, list[Page]]
    findings: list[AuditFinding]
    listed: int

    def report(self) -> dict[str, Any]:
        """Return what stands in audit.json."""
        return {
            "schema_version": 1,
            "listed": self.listed,
            "pages": {split: len(self.pages[split]) + len(self.drawn[split]) for split in SPLITS},
            "regions": {split: sum(len(p.labels) for p in self.pages[split]) for split in SPLITS},
            "labels": dict(sorted(Counter(x for side in self.pages.values() for p in side for x in p.labels).items())),
            "counts": by_kind(self.findings),
            "findings": [f.to_json() for f in self.findings],
        }


def gather_pages(dataset: DatasetConfig, *, any_character: bool = True) -> PageSet:
    """List, audit and split the pages of all sources; too many bad regions or an empty source are a `BadInput`.

    A data set's own split is kept, where the source may stand on that side; other pages are dealt out by hash of their
    group. One image on two sides stays on the stronger one (test, then validation).
    """
    characters = None if any_character else set(dataset.the_alphabet().characters)
    every: list[MarkedPage] = []
    drawn: dict[Split, list[Page]] = {split: [] for split in SPLITS}
    findings: list[AuditFinding] = []
    listed = 0
    for source in dataset.sources:
        if not isinstance(source, PageSource):
            continue
        pages = list_pages(source)
        listed += len(pages)
        if pages and pages[0].render:
            for page in pages:
                drawn[assign(page.group or page.path, dataset.split, source.splits)].append(page)
            continue
        marked, found = audit_pages(pages, getattr(source, "unlabelled", "negative"), characters)
        refuse_too_many_bad_regions(pages, found, dataset.max_bad_fraction)
        findings += found
        welcome = [page for page in marked if page.page.split in (None, *source.splits)]
        grouped, apart = give_groups(welcome, source, dataset.split)
        every += grouped
        findings += apart
    allowed = {source.name: source.splits for source in dataset.sources}
    sides, moved = deal(every, dataset.split, allowed)
    return PageSet(sides, drawn, [*findings, *moved], listed)


def give_groups(
    pages: Iterable[MarkedPage], source: PageSource, split: SplitConfig, text: Callable[[MarkedPage], str] = lambda page: ""
) -> tuple[list[MarkedPage], list[AuditFinding]]:
    """Give each page the group that `group_by` names, and list those for which it names none.

    `text`: the canonical text of a page, "" for pages that have none: grouped by text, such a page stands alone.
    """
    grouped, findings = [], []
    for page in pages:
        listed = page.page
        row = Row(listed.source, listed.annotations or listed.path, 0, listed.path, "", listed.file)
        group = listed.group or group_of(row, text(page), source.group_by, split)
        if group is None:
            findings.append(AuditFinding(Kind.NO_GROUP, 0, source.name, listed.path, 0, "group_by does not match"))
        else:
            grouped.append(replace(page, page=replace(listed, group=group or None)))
    return grouped, findings


def deal(
    pages: Sequence[MarkedPage], split: SplitConfig, allowed: dict[str, tuple[Split, ...]] | None = None
) -> tuple[dict[Split, list[MarkedPage]], list[AuditFinding]]:
    """Give each page its side, and say which ones were left out because the same image stands on a stronger one."""
    groups = [page.page.group or f"{page.page.source}:{page.page.path}" for page in pages]
    groups = unite(groups, [page.sha256 for page in pages])
    sides: list[Split] = [
        page.page.split or assign(group, split, (allowed or {}).get(page.page.source, SPLITS))
        for page, group in zip(pages, groups, strict=True)
    ]
    best: dict[str, int] = {}
    for i, page in enumerate(pages):
        key = page.sha256
        if key not in best or STRENGTH[sides[i]] > STRENGTH[sides[best[key]]]:
            best[key] = i
    out: dict[Split, list[MarkedPage]] = {name: [] for name in SPLITS}
    findings: list[AuditFinding] = []
    for i, page in enumerate(pages):
        other = best[page.sha256]
        if other == i:
            out[sides[i]].append(page)
            continue
        first = pages[other].page
        kind = Kind.DUPLICATE_IMAGE if sides[other] == sides[i] else Kind.HELD_OUT_ELSEWHERE
        detail = f"{page.page.path} ({sides[i]}) is left out: the same image as {first.path} ({sides[other]})"
        findings.append(AuditFinding(kind, i, page.page.source, page.page.file or page.page.path, 0, detail))
    return out, findings
