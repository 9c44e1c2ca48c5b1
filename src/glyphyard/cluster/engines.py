"""A TensorRT engine built by a Ray task on the device that will run it: only a worker that offers the target's resource gets it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glyphyard.cluster.session import free_resources
from glyphyard.core.errors import BadInput, GlyphyardError, StepFailed
from glyphyard.core.targets import target_named
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.engine_build import build
from glyphyard.edge.engines import EngineRecord, default_cache
from glyphyard.edge.manifest import MANIFEST


def build_on_worker(
    bundle: Path,
    target: str,
    cache_dir: Path | None = None,
    say: Callable[[str], None] = print,
    *,
    environment: Mapping[str, str] | None = None,
) -> EngineRecord:
    """Build a bundle's engine on a worker of the connected cluster; it stays in that worker's cache, the record comes back.

    `cache_dir` is a folder over there (the worker's default when None), `environment` what its process is to find. No
    worker with the target's resource is a `BadInput`; what fails over there is raised here as it was there.
    """
    import ray

    opened, resource = Bundle.open(bundle), target_named(target).resource
    if free_resources().get(resource, 0) < 1:
        remedy = f"start its Ray with --resources='{{\"{resource}\": 1}}' (ray_cluster.yaml), or build on the device itself"
        raise BadInput(f"target {target}", f"no worker of this cluster offers the resource {resource!r}", remedy)
    files = {MANIFEST: (opened.folder / MANIFEST).read_bytes()} | {name: opened.read(name) for name in opened.manifest.files}
    say(f"engine: {sum(map(len, files.values())) / 2**20:.1f} MiB go to a worker with {resource}")
    # Once only: a build that failed fails again, and it holds the device's GPU for minutes.
    options: dict[str, Any] = {"resources": {resource: 1}, "max_retries": 0}
    if environment:
        options["runtime_env"] = {"env_vars": dict(environment)}
    task = ray.remote(_build_here).options(**options)
    try:
        record, said = ray.get(task.remote(files, target, str(cache_dir) if cache_dir else None))
    except Exception as error:  # Ray wraps what a task raised in a class of its own making
        raise _cause(error, target) from error
    for line in said:
        say(line)
    return EngineRecord.from_json(record, "the worker's answer")


def _build_here(files: dict[str, bytes], target: str, cache_dir: str | None) -> tuple[dict[str, Any], list[str]]:
    """Build on this machine, a worker: the bundle came as bytes, for it may share no disk with who asks."""
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="glyphyard-bundle-") as folder:
        for name, data in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        record = build(Path(folder), target, Path(cache_dir) if cache_dir else default_cache(), said.append)
    return record.to_json(), said


def _cause(error: BaseException, target: str) -> GlyphyardError:
    found: BaseException | None = error
    while found is not None:
        # Ray raises a class of its own that also derives from what the task raised; that one is in its `cause`.
        inner = getattr(found, "cause", None)
        if isinstance(found, GlyphyardError) and inner is None:
            return found
        found = inner or found.__cause__
    return StepFailed(f"engine for {target}", f"the worker's task broke ({' '.join(str(error).split())[:300]})", "see its log")
