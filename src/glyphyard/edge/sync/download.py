"""A version's files to a staging folder, each held against the SHA-256 that the registry vouches for."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_file
from glyphyard.edge.catalogue import files_of, verify_bundle
from glyphyard.edge.manifest import MANIFEST
from glyphyard.edge.sync import disk
from glyphyard.edge.sync.registry import REFUSED, Refused, Registry, RemoteFile, Version, safe_name

MAX_MANIFEST = 1 << 20


class Tampered(StepFailed):
    """A file came whole and is not the one that it should be."""


class Moved(StepFailed):
    """The alias names another version than the one that is being installed."""


def download(
    registry: Registry,
    version: Version,
    staged: Path,
    limit: int,
    came: Callable[[int], None],
    room: Callable[[int], None],
    still: Callable[[], None],
) -> None:
    """Fill `staged` with a checked bundle of any task that reads text; what an earlier try brought is used again.

    Only files that bundle.json names are fetched. `limit`: bytes of all files. `came(n)` counts bytes, `room(n)` makes
    room for them or raises, `still()` raises `Moved` when this version is not wanted any more.
    """
    listed, where = registry.files(version), f"{version.model} version {version.number}"
    described = listed.get(MANIFEST)
    if described is None or described.size > MAX_MANIFEST:
        raise Refused(where, f"expected a {MANIFEST} of at most {MAX_MANIFEST >> 10} KiB among its files", REFUSED)
    _get(registry, version, described, version.sha256, staged, came)
    try:
        hashes = files_of(staged)
    except BadInput as error:
        raise Refused(error.where, error.problem, error.remedy) from error
    if wrong := [name for name in hashes if not safe_name(name) or name == MANIFEST or name not in listed]:
        raise Refused(where, f"bundle.json names {wrong[0][:80]!r}, which is not among its files", REFUSED)
    total = sum(listed[name].size for name in hashes) + described.size
    if total > limit:
        problem = f"its files are {total / 2**20:,.1f} MiB, more than {limit / 2**20:,.3f}"
        raise StepFailed(where, problem, "raise max_bundle_mib")  # the device's own limit: nothing against the version
    room(total - sum(p.stat().st_size for p in staged.rglob("*") if p.is_file() and not p.is_symlink()))
    for name, expected in sorted(hashes.items()):
        still()
        _get(registry, version, listed[name], expected, staged, came)
    _drop_strangers(staged, {MANIFEST, *hashes})
    try:
        sha256 = verify_bundle(staged)
    except BadInput as error:
        raise Refused(error.where, error.problem, error.remedy) from error
    if sha256 != version.sha256:
        raise Tampered(str(staged), "bundle.json changed while it was checked")
    for folder in sorted({p.parent for p in staged.rglob("*")}):
        disk.sync_folder(folder)


def _get(registry: Registry, version: Version, file: RemoteFile, sha256: str, staged: Path, came: Callable[[int], None]) -> None:
    target = staged / file.name
    for parent in reversed(target.relative_to(staged).parents[:-1]):
        disk.make(staged / parent)
    if _plain(target) and sha256_file(target) == sha256:
        return
    partial = staged / f"{disk.TEMPORARY}{sha256[:32]}"
    for path in (target, partial):
        if os.path.lexists(path) and (path == target or not _plain(path)):
            disk.remove(path)
    resumed = partial.exists()
    came(registry.fetch(version, file, partial))
    if (found := sha256_file(partial)) != sha256 and resumed:  # the old part may be the wrong one
        disk.remove(partial)
        came(registry.fetch(version, file, partial))
        found = sha256_file(partial)
    if found != sha256:
        disk.remove(partial)
        problem = f"{file.name} came with SHA-256 {found[:16]}…, expected {sha256[:16]}…"
        raise Tampered(f"{version.model} version {version.number}", problem, "the next poll tries again")
    os.replace(partial, target)
    disk.sync_folder(target.parent)


def _plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _drop_strangers(staged: Path, wanted: set[str]) -> None:
    """Remove what no manifest vouches for, such as partial files of another content."""
    for path in sorted(staged.rglob("*"), reverse=True):
        if path.is_symlink() or (not path.is_dir() and str(path.relative_to(staged)) not in wanted):
            disk.remove(path)
