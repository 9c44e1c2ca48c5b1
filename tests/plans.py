"""Plans for handmade bundles, as export writes them."""

from __future__ import annotations

from pathlib import Path

from handmade import edit_manifest, rehash

from glyphyard.core.files import write_json
from glyphyard.core.targets import target_named
from glyphyard.edge import Bundle
from glyphyard.edge.plan import describe_plan, plan_name


def add_plan(folder: Path, target: str, graph: bytes | None = None, **changes: object) -> None:
    """Give a bundle a target's plan, and where it needs one another ONNX, as export does."""
    opened = Bundle.open(folder)
    spec = opened.manifest.input
    (folder / "targets").mkdir(exist_ok=True)
    files = dict(opened.manifest.files)
    if graph is not None:
        changes["onnx"] = "targets/graph.onnx"
        (folder / "targets/graph.onnx").write_bytes(graph)
        files["targets/graph.onnx"] = "?"
    plan = describe_plan(target_named(target), (spec.name, list(spec.shape[1:])), opened.manifest.output.name, **changes)
    write_json(folder / plan_name(target), plan.to_json())
    edit_manifest(folder, files=files | {plan_name(target): "?"})
    rehash(folder)
