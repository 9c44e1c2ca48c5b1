"""`glyphyard doctor`: is this machine fit for it?"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from glyphyard.cli.options import json_option, print_json, store_option

NEEDED = ("torch", "torchvision", "ray", "pyarrow", "onnx", "mlflow", "optuna", "pydantic", "opencv-python-headless")
MIN_FREE_GB = 5


@click.command(epilog="Example: glyphyard doctor --json")
@store_option
@json_option
def doctor(store: Path, as_json: bool) -> int:
    """Check versions, clashing packages, processors, memory, disk and the cluster's token (status 2 where something is wrong)."""
    checks = list(_checks(store))
    if as_json:
        print_json([{"ok": ok, "check": name, "found": found} for ok, name, found in checks])
    for ok, name, found in () if as_json else checks:
        click.echo(f"{'ok   ' if ok else 'WRONG'}  {name:<14} {found}")
    return 0 if all(ok for ok, _, _ in checks) else 2


def _checks(store: Path) -> Iterator[tuple[bool, str, str]]:
    yield (
        sys.version_info[:2] == (3, 11),
        "python",
        f"{sys.version.split()[0]} (the lock is for 3.11; Ray wants the same patch on all nodes)",
    )
    for name in NEEDED:
        version = _version(name)
        yield version is not None, name, version or "missing: run `make env`"
    for one, other in (("opencv-python", "opencv-python-headless"), ("onnxruntime", "onnxruntime-gpu")):
        both = bool(_version(one) and _version(other))
        yield (
            not both,
            f"{one[:14]}",
            f"{one} and {other} share a folder: uninstall both, then run `make env`" if both else "no clash",
        )
    yield True, "processors", str(os.cpu_count())
    place = next(p for p in (store.absolute(), *store.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free / 1e9
    yield free >= MIN_FREE_GB, "disk", f"{free:.0f} GB free at {place} (a run wants {MIN_FREE_GB})"
    token = Path("~/.ray/auth_token").expanduser().is_file() or bool(os.environ.get("RAY_AUTH_TOKEN"))
    asked = os.environ.get("RAY_AUTH_MODE") == "token"
    remedy = "" if asked or not token else "; `export RAY_AUTH_MODE=token` before `ray job submit`"
    yield True, "ray token", ("there is one" if token else "none yet (`make cluster` makes one)") + remedy


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
