"""What a held-out set is: its images and texts, by hash, in any order; and what came or went when the hash is another."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glyphyard.core.errors import BadInput
from glyphyard.core.files import sha256_bytes, write_text, writing
from glyphyard.core.pixels import decode_image

SHOWN = 3
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, order=True)
class HeldOutRow:
    """One crop of a held-out set: its image's hash, its text, and where it lies (for people, never for the hash)."""

    image_sha256: str
    text: str
    path: str


def image_identity(encoded: bytes, name: str = "image", image: np.ndarray | None = None) -> str:
    """Return the hash of an image file's bytes; of a PNG that of its pixels, for its bytes change with the version of zlib.

    `image`: the decoded pixels, where the caller has them already.
    """
    if not encoded.startswith(PNG):
        return sha256_bytes(encoded)
    pixels = decode_image(encoded, name) if image is None else image
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def held_out_sha256(rows: Iterable[HeldOutRow]) -> str:
    """Return the hash over the sorted (image hash, text) of all rows: neither their order nor their paths change it."""
    digest = hashlib.sha256()
    for line in sorted(f"{row.image_sha256}\t{row.text}\n" for row in rows):
        digest.update(line.encode("utf-8"))
    return digest.hexdigest()


def manifest_path(suite_or_baseline: Path) -> Path:
    """Return where the rows of a frozen set are listed: beside the file that states its hash."""
    return suite_or_baseline.with_suffix(".held_out.tsv")


def write_manifest(path: Path, rows: Sequence[HeldOutRow]) -> str:
    """Write the rows as `image sha256<TAB>path<TAB>text`, sorted, and return the set's hash."""
    with writing(path):
        write_text(path, "".join(f"{row.image_sha256}\t{row.path}\t{row.text}\n" for row in sorted(rows)))
    return held_out_sha256(rows)


def read_manifest(path: Path) -> list[HeldOutRow]:
    """Read the rows back; a broken line is a `BadInput`."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line:
            continue
        cells = line.split("\t", 2)
        if len(cells) != 3:
            raise BadInput(f"{path}:{number}", "expected image hash, path and text between tabs", "restore it from git")
        rows.append(HeldOutRow(cells[0], cells[2], cells[1]))
    return rows


def refuse_another_set(expected: str, rows: Sequence[HeldOutRow], known: Path | None, where: str) -> None:
    """Raise a `BadInput` if the rows are not the set with the hash `expected`, saying what came and what went.

    `known` lists the expected rows (see `write_manifest`); without it only the hashes can be told apart.
    """
    found = held_out_sha256(rows)
    if found == expected:
        return
    problem = f"expected the held-out set {expected[:16]}…, found {found[:16]}… ({len(rows)} rows)"
    if known is not None and known.is_file():
        problem += ": " + difference(read_manifest(known), rows)
    raise BadInput(where, problem, "restore the images, labels and split, or freeze the new set (`glyphyard suite freeze`)")


def difference(before: Sequence[HeldOutRow], after: Sequence[HeldOutRow]) -> str:
    """Say in one line which rows came, went and changed their text."""
    gone, new = _without(before, after), _without(after, before)
    texts = {row.image_sha256: row.text for row in gone}
    relabelled = [row for row in new if row.image_sha256 in texts]
    same_image = {row.image_sha256 for row in relabelled}
    parts = [
        _listed("came", [row.path for row in new if row.image_sha256 not in same_image]),
        _listed("went", [row.path for row in gone if row.image_sha256 not in same_image]),
        _listed("relabelled", [f"{row.path} {texts[row.image_sha256]!r} → {row.text!r}" for row in relabelled]),
    ]
    return "; ".join(filter(None, parts)) or "the listed rows are the same (the list belongs to another hash)"


def _without(rows: Sequence[HeldOutRow], others: Sequence[HeldOutRow]) -> list[HeldOutRow]:
    left = Counter((row.image_sha256, row.text) for row in others)
    kept = []
    for row in sorted(rows):
        if left[row.image_sha256, row.text]:
            left[row.image_sha256, row.text] -= 1
        else:
            kept.append(row)
    return kept


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} {what} ({', '.join(names[:SHOWN])}{more})"
