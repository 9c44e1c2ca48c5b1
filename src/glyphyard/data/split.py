"""Splits by group: which rows belong together, and on which side a group stands, by hash, for ever."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence

from glyphyard.data.sources.row import Row
from glyphyard.recipe.dataset import Split, SplitConfig

STRENGTH: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}  # the stronger side keeps a group that stands on two


def group_of(row: Row, canonical_text: str, own_group_by: str | None, config: SplitConfig) -> str | None:
    """Return a row's group, None where the regex does not match its path.

    A rendered row has no camera track: it is grouped by its text unless its own source says otherwise.
    """
    group_by = own_group_by or ("text" if row.render else config.group_by)
    if group_by == "text":
        return canonical_text
    if group_by == "path":
        return f"{row.source}:{row.path}"  # equal paths in two sources are two images
    match = re.search(group_by, row.path)
    return match.group(1) if match else None


def assign(group: str, config: SplitConfig, allowed: Sequence[Split]) -> Split:
    """Return the side of a group by SHA-256 of salt and group, among the sides its source may stand on.

    [0, test) is test, then validation, the rest train; where a source has no such side, its rows go to train.
    """
    if len(allowed) == 1:
        return allowed[0]
    place = int.from_bytes(hashlib.sha256((config.salt + group).encode("utf-8")).digest()[:8], "big") / 2**64
    if "train" not in allowed:  # validation and test share everything
        share = config.test / (config.test + config.validation) if config.test + config.validation else 0.5
        return "test" if place < share else "validation"
    if place < config.test:
        return "test" if "test" in allowed else "train"
    if place < config.test + config.validation:
        return "validation" if "validation" in allowed else "train"
    return "train"


def unite(groups: Sequence[str], identities: Sequence[str]) -> list[str]:
    """Return the groups after joining those that hold the same image ("" is no image); the least name stands for all."""
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while (above := parent.setdefault(group, group)) != group:
            parent[group] = parent[above]
            group = parent[group]
        return group

    owner: dict[str, str] = {}
    for group, identity in zip(groups, identities, strict=True):
        if identity:
            a, b = sorted((root(group), root(owner.setdefault(identity, group))))
            parent[b] = a
    return [root(group) if group in parent else group for group in groups]


def yielding(
    rows: Sequence[Row],
    texts: Sequence[str],
    groups: Sequence[str],
    identities: Sequence[str],
    splits: Sequence[Split | None],
    plates: Collection[str],
) -> dict[int, str]:
    """Return the rows that must be left out so that no plate stands on two sides, each with the reason.

    A real row yields to one of its group or image on a stronger side, and to one of its text if both come from `plates`,
    the sources whose texts name a plate (two tracks show one car; two writers may write one word). A rendered row yields
    to every real row with its text on another side, and to rendered ones on a stronger side. None in `splits` is left
    out already. Sides stay where the hash put them: joining tracks by text could draw all of a camera's onto one.
    """
    live = [i for i, split in enumerate(splits) if split is not None]
    real = [i for i in live if not rows[i].render]
    out: dict[int, str] = {}
    strongest: dict[str, int] = {}
    for i in sorted(real, key=lambda i: -_rank(splits, i)):  # what is left out itself makes nobody yield
        keys = [f"group {groups[i]}", f"image {identities[i]}"] + [f"text {texts[i]}"] * (rows[i].source in plates)
        j = max((strongest.get(key, i) for key in keys), key=lambda j: _rank(splits, j))
        if _rank(splits, j) > _rank(splits, i):
            out[i] = _reason(rows, splits, i, j)
        else:
            for key in keys:
                strongest.setdefault(key, i)
    texts_of_real = _strongest(((texts[i], i) for i in real if i not in out), splits)
    rendered = [i for i in live if rows[i].render]
    texts_of_rendered = _strongest(((texts[i], i) for i in rendered if texts[i] not in texts_of_real), splits)
    for i in rendered:
        j = texts_of_real.get(texts[i], texts_of_rendered.get(texts[i], i))
        if splits[j] != splits[i]:
            out[i] = _reason(rows, splits, i, j)
    return out


def _strongest(pairs: Iterable[tuple[str, int]], splits: Sequence[Split | None]) -> dict[str, int]:
    best: dict[str, int] = {}
    for key, i in pairs:
        if key not in best or _rank(splits, i) > _rank(splits, best[key]):
            best[key] = i
    return best


def _rank(splits: Sequence[Split | None], i: int) -> int:
    split = splits[i]
    return -1 if split is None else STRENGTH[split]


def _reason(rows: Sequence[Row], splits: Sequence[Split | None], i: int, j: int) -> str:
    return f"{rows[i].path} is left out of {splits[i]}: the same plate stands in {splits[j]} ({rows[j].listed_in}:{rows[j].line})"
