"""A dataset in the making: what is known of each row, from its label to its side of the split."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.data.audit import LabelAudit, duplicates, found
from glyphyard.data.findings import AuditFinding, Kind, bad_rows, by_kind, unused_rows
from glyphyard.data.near_duplicates import nearest
from glyphyard.data.sources import Row
from glyphyard.data.split import assign, unite, yielding
from glyphyard.recipe.dataset import SPLITS, DatasetConfig, Split

BY_ROW = (Kind.DUPLICATE_IMAGE, Kind.CONFLICTING_LABELS)


@dataclass
class Draft:
    """All rows with what was found out about them; index = row id. `splits[i]` is None for a row that is left out."""

    dataset: DatasetConfig
    rows: list[Row]
    texts: list[str]
    groups: list[str]
    identities: list[str]
    findings: list[AuditFinding]
    splits: list[Split | None]
    label_statistics: dict[str, Any]
    facts: dict[int, dict[str, Any]] = field(default_factory=dict)
    near_duplicates: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, dataset: DatasetConfig, labels: LabelAudit, hashes: dict[str, str]) -> Draft:
        """Judge labels and image bytes together, and give every good row its side."""
        rows, texts = labels.rows, labels.texts
        identities, lows = [hashes.get(row.file or "", "") for row in rows], [hashes.get(row.low or "", "") for row in rows]
        findings = [f for f in labels.findings if f.kind not in BY_ROW]  # they were found by path, now by bytes
        findings += duplicates(rows, texts, dataset.the_alphabet(), identities, lows, unused_rows(findings))
        groups = unite(labels.groups, identities)
        allowed = {source.name: source.splits for source in dataset.sources}
        unused = unused_rows(findings)
        side = {
            (g, a): assign(g, dataset.split, a) for g, a in {(g, allowed[r.source]) for r, g in zip(rows, groups, strict=True)}
        }
        splits = [None if i in unused else side[groups[i], allowed[row.source]] for i, row in enumerate(rows)]
        return cls(dataset, rows, texts, groups, identities, findings, splits, labels.statistics)

    def wanted(self) -> list[int]:
        """Return the ids of rows whose image is to be read."""
        return [i for i, split in enumerate(self.splits) if split]

    def held_out(self) -> set[int]:
        """Return the ids of rows outside train."""
        return {i for i, split in enumerate(self.splits) if split in ("validation", "test")}

    def take(self, facts: Iterable[dict[str, Any]]) -> None:
        """Take what a chunk reports of its rows."""
        for fact in facts:
            i = fact["id"]
            if "kind" in fact:
                self.findings.append(found(Kind(fact["kind"]), i, self.rows[i], fact["detail"]))
                self.splits[i] = None
                continue
            self._check_unchanged(i, fact)
            self.findings += [found(Kind(kind), i, self.rows[i], detail) for kind, detail in fact.pop("warnings")]
            self.identities[i], self.facts[i] = fact["sha256"], fact

    def _check_unchanged(self, i: int, fact: dict[str, Any]) -> None:
        row = self.rows[i]
        if row.render and fact["text"] != row.text_raw:
            raise StepFailed(row.listed_in, f"plate {row.line} was listed as {row.text_raw!r} and rendered as {fact['text']!r}")
        if row.file and fact["sha256"] != self.identities[i]:
            raise BadInput(row.file, "this image changed while it was prepared", "run again when nobody writes to it")

    def close(self) -> None:
        """Look across the sides when all images are known: leave out what stands on two, and find near-duplicates."""
        canonical = [self.dataset.the_alphabet().canonical(text) for text in self.texts]
        plates = {source.name for source in self.dataset.sources if source.text_is_plate}
        out = yielding(self.rows, canonical, self.groups, self.identities, self.splits, plates)
        for i, reason in sorted(out.items()):
            self.findings.append(found(Kind.HELD_OUT_ELSEWHERE, i, self.rows[i], reason))
            self.splits[i] = None
        for weaker, stronger in combinations(SPLITS, 2):
            self._find_near(stronger, weaker)

    def _find_near(self, stronger: Split, weaker: Split) -> None:
        sides = [[i for i in self.facts if self.splits[i] == side and self.rows[i].file] for side in (stronger, weaker)]
        sides = [sorted(ids) for ids in sides]
        a, b = (np.array([self.facts[i]["dhash"] for i in ids], np.uint64) for ids in sides)
        for x, y, bits in nearest(a, b, self.dataset.near_duplicate_bits):
            i, j = sides[0][x], sides[1][y]
            one, other = self.rows[i], self.rows[j]
            self.near_duplicates.append(
                {"rows": [i, j], "paths": [one.path, other.path], "splits": [stronger, weaker], "bits": bits}
            )
            detail = f"{other.path} ({weaker}, {self.texts[j]!r}) looks like {one.path} ({stronger}, {self.texts[i]!r}): {bits} of 64 bits differ"
            self.findings.append(found(Kind.NEAR_DUPLICATE, j, other, detail))

    def rows_by_split(self) -> dict[Split, int]:
        """Count the rows of every side, also of an empty one."""
        counts = Counter(self.splits)
        return {split: counts[split] for split in SPLITS}

    def report(self, fingerprint: str) -> dict[str, Any]:
        """Return what stands in audit.json."""
        return {
            "schema_version": 1,
            "dataset_fingerprint": fingerprint,
            "rows": self._rows_by_source(),
            "counts": by_kind(self.findings),
            "findings": [f.to_json() for f in sorted(self.findings, key=lambda f: (f.row, f.kind.value))],
            "near_duplicates": self.near_duplicates,
            "statistics": self.label_statistics | {"images": self._image_statistics()},
        }

    def _rows_by_source(self) -> dict[str, dict[str, int]]:
        bad = bad_rows(self.findings)
        table = {source.name: dict.fromkeys(("listed", "bad", "left_out", *SPLITS), 0) for source in self.dataset.sources}
        for i, (row, split) in enumerate(zip(self.rows, self.splits, strict=True)):
            table[row.source]["listed"] += 1
            table[row.source][split or ("bad" if i in bad else "left_out")] += 1
        return table

    def _image_statistics(self) -> dict[str, dict[str, dict[str, float]]]:
        sizes: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for i in sorted(self.facts):
            sizes[self.rows[i].source].append((self.facts[i]["width"], self.facts[i]["height"]))
        return {
            source: {
                "width_px": _spread([w for w, _ in s]),
                "height_px": _spread([h for _, h in s]),
                "aspect": _spread([w / h for w, h in s]),
            }
            for source, s in sorted(sizes.items())
        }


def _spread(values: list[float] | list[int]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}
