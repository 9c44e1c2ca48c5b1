"""Where runs live: one folder a run, named so that no run ever meets another's files by accident."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.core.files import make_folder, read_json, write_json
from glyphyard.recipe.load import recipe_from_json
from glyphyard.recipe.recipe import Recipe

ONLY_STAGE = "only_stage.json"
DEFAULT_STORE = Path(os.environ.get("GLYPHYARD_STORE", "runs"))
PACKAGES = ("glyphyard", "torch", "ray", "numpy", "opencv-python-headless", "onnx", "onnxruntime-gpu", "mlflow", "pyarrow")


def new_run(recipe: Recipe, store: Path, only_stage: str | None = None) -> Path:
    """Create a new run folder in `store`, with the resolved recipe, the environment and, of one stage's run, its name in it."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = make_folder(store.absolute()) / f"{recipe.name}-{stamp}-{secrets.token_hex(2)}"
    make_folder(folder)
    write_json(folder / "recipe.json", recipe.to_json())
    write_json(folder / "environment.json", environment())
    if only_stage is not None:
        write_json(folder / ONLY_STAGE, {"stage": only_stage})
    return folder


def only_stage_of(run: Path) -> str | None:
    """Return the one stage that a run was begun for; None where it was begun for all of them."""
    return str(read_json(run / ONLY_STAGE)["stage"]) if (run / ONLY_STAGE).is_file() else None


def open_run(name: str, store: Path) -> Path:
    """Find a run by path or by name in `store`; an unknown one is a `BadInput` that names the latest."""
    for folder in (Path(name), store / name):
        if (folder / "recipe.json").is_file():
            return folder.absolute()
    runs = list_runs(store)
    raise BadInput(f"run {name}", f"no such run in {store}", f"the latest is {runs[-1].name}" if runs else "there is none yet")


def list_runs(store: Path) -> list[Path]:
    """Return all run folders of `store`, oldest first."""
    found = (p.parent for p in store.glob("*/recipe.json")) if store.is_dir() else iter(())
    return sorted(found, key=lambda folder: (folder / "recipe.json").stat().st_mtime)


def recipe_of(run: Path) -> Recipe:
    """Return the recipe a run was started with."""
    return recipe_from_json(read_json(run / "recipe.json"), str(run / "recipe.json"))


@contextmanager
def only_one(run: Path) -> Iterator[None]:
    """Hold the run for this process; a second process gets a `BadInput`."""
    with (run / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInput(str(run), "another process is working on this run", "wait for it, or start a new run") from error
        yield


@contextmanager
def worth_keeping(run: Path) -> Iterator[None]:
    """Remove a new run that `BadInput` stops before any step is done: there is nothing in it to look at or to resume."""
    try:
        yield
    except BadInput:
        if not any(run.glob("steps/*.json")):
            shutil.rmtree(run, ignore_errors=True)
        raise


def environment() -> dict[str, Any]:
    """Return what a reader needs to compare two runs: versions, processor, command line."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "command": " ".join(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv)),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
