"""The audit of labels: everything that can be known about the rows before an image is opened (no cv2, torch or ray)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glyphyard.core.alphabet import Alphabet
from glyphyard.core.capacity import Capacity
from glyphyard.data.findings import AuditFinding, Kind, bad_rows, unused_rows
from glyphyard.data.refusal import TooManyBad
from glyphyard.data.sources import Row, list_rows
from glyphyard.data.split import group_of
from glyphyard.recipe.dataset import DatasetConfig

MAX_EXAMPLES = 3


@dataclass(frozen=True)
class LabelAudit:
    """The rows of all sources (a row's id is its index here), their normalised texts, groups and what is wrong with them."""

    rows: list[Row]
    texts: list[str]
    groups: list[str]
    findings: list[AuditFinding]
    statistics: dict[str, Any]


def audit_labels(dataset: DatasetConfig, capacity: Capacity, synthetic_limit: int | None = None) -> LabelAudit:
    """List and check all rows; `synthetic_limit` looks at that many rows of each rendered source only (`plan`)."""
    alphabet = dataset.the_alphabet()
    rows = [row for source in dataset.sources for row in list_rows(source, synthetic_limit)]
    texts = [dataset.normalise(row.text_raw) for row in rows]
    own = {source.name: source.group_by for source in dataset.sources}
    groups = [
        group_of(row, alphabet.canonical(text), own[row.source], dataset.split) for row, text in zip(rows, texts, strict=True)
    ]
    findings = list(_check_rows(rows, texts, groups, alphabet, capacity))
    findings += duplicates(
        rows, texts, alphabet, [row.file or "" for row in rows], [row.low or "" for row in rows], unused_rows(findings)
    )
    statistics = label_statistics(dataset, rows, texts, capacity)
    return LabelAudit(rows, texts, [group or "" for group in groups], findings, statistics)


def found(kind: Kind, row_id: int, row: Row, detail: str) -> AuditFinding:
    """Return a finding about `row`."""
    return AuditFinding(kind, row_id, row.source, row.listed_in, row.line, detail)


def _check_rows(
    rows: Sequence[Row], texts: Sequence[str], groups: Sequence[str | None], alphabet: Alphabet, capacity: Capacity
) -> Iterator[AuditFinding]:
    for i, (row, text, group) in enumerate(zip(rows, texts, groups, strict=True)):
        if row.problem:
            yield found(Kind.MALFORMED_LINE, i, row, row.problem)
            continue
        if row.left_out:
            yield found(Kind.MARKED_UNREADABLE, i, row, f"{row.path}: {row.left_out}")
            continue
        if not text:
            yield found(Kind.EMPTY_LABEL, i, row, f"the label {row.text_raw!r} of {row.path} holds nothing to read")
        elif strangers := alphabet.unknown(text):
            yield found(Kind.UNKNOWN_CHARACTER, i, row, f"{strangers} of label {text!r} are not in the alphabet")
        elif too_long := capacity.too_long(alphabet.canonical(text)):
            yield found(Kind.LABEL_TOO_LONG, i, row, too_long)
        elif broken := capacity.broken_layout(text):
            yield found(Kind.BROKEN_LAYOUT, i, row, broken)
        if row.file is not None and not os.path.isfile(row.file):
            yield found(Kind.MISSING_IMAGE, i, row, f"{row.path} does not exist in {os.path.dirname(row.file)}")
        elif row.low is not None and not os.path.isfile(row.low):
            yield found(Kind.MISSING_IMAGE, i, row, f"{row.path} has no low-resolution side in {os.path.dirname(row.low)}")
        if group is None:
            yield found(Kind.NO_GROUP, i, row, f"group_by matches nothing in the path {row.path!r}")


def duplicates(
    rows: Sequence[Row], texts: Sequence[str], alphabet: Alphabet, identities: Sequence[str], lows: Sequence[str], bad: set[int]
) -> list[AuditFinding]:
    """Find rows that are the same image by `identities` ("" is unknown): two labels make all of them bad, one label warns.

    Pairs whose low sides differ by `lows` are frames of one plate, and nothing to warn of.
    """
    same: dict[str, list[int]] = {}
    for i, identity in enumerate(identities):
        if identity and i not in bad:
            same.setdefault(identity, []).append(i)
    findings: list[AuditFinding] = []
    for ids in same.values():
        labels = list(dict.fromkeys(alphabet.canonical(texts[i]) for i in ids))
        if len(labels) > 1:
            places = ", ".join(f"{rows[i].path} (line {rows[i].line})" for i in ids[:MAX_EXAMPLES])
            findings += [
                found(Kind.CONFLICTING_LABELS, i, rows[i], f"one image, {len(labels)} labels {labels[:4]}: {places}") for i in ids
            ]
        else:
            firsts: dict[str, int] = {}
            for i in ids:
                first = firsts.setdefault(lows[i], i)
                if first != i:
                    detail = f"{rows[i].path} is the image of {rows[first].listed_in}:{rows[first].line}"
                    findings.append(found(Kind.DUPLICATE_IMAGE, i, rows[i], detail))
    return findings


def label_statistics(dataset: DatasetConfig, rows: Sequence[Row], texts: Sequence[str], capacity: Capacity) -> dict[str, Any]:
    """Return rows by source, histograms of label lengths and characters, alphabet coverage and whether the texts have room."""
    alphabet = dataset.the_alphabet()
    canonical = [alphabet.canonical(text) for text in texts]
    characters = Counter("".join(canonical))
    listed = Counter(row.source for row in rows)
    return {
        "rows": {source.name: getattr(source, "count", listed[source.name]) for source in dataset.sources},
        "label_lengths": {str(n): count for n, count in sorted(Counter(map(len, canonical)).items())},
        "characters": dict(sorted(characters.items())),
        "characters_never_seen": [c for c in alphabet.characters if c not in characters and c not in alphabet.fold],
        "places": capacity.places,
        "places_are": capacity.unit,
        "places_needed_most": max(map(capacity.needed, canonical), default=0),
    }


def refuse_too_many_bad(dataset: DatasetConfig, rows: Sequence[Row], findings: Sequence[AuditFinding]) -> None:
    """Raise `TooManyBad` where more than `max_bad_fraction` of a source's rows are bad, naming the first ones.

    By source, so that thousands of rendered rows do not hide a broken label file.
    """
    listed = Counter(row.source for row in rows)
    bad = Counter(rows[i].source for i in bad_rows(findings))
    for name, count in bad.items():
        if count <= dataset.max_bad_fraction * listed[name]:
            continue
        errors = sorted((f for f in findings if f.source == name and f.severity == "error"), key=lambda f: f.row)
        also = "; ".join(f"line {f.line}: {f.detail}" for f in errors[1:MAX_EXAMPLES])
        share = f"{count} of {listed[name]} rows of {name} are bad ({count / listed[name]:.1%}), more than max_bad_fraction {dataset.max_bad_fraction:.1%}"
        problem = f"{errors[0].kind.value}: {errors[0].detail}; {share}" + (f"; {also}" if also else "")
        raise TooManyBad(f"{errors[0].file}:{errors[0].line}", problem, findings)
