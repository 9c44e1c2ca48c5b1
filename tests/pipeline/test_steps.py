"""What the steps of a run depend on: content, wherever it lies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from glyphyard.pipeline.steps import train_step
from glyphyard.recipe.load import load_recipe

TINY = Path(__file__).parents[2] / "recipes" / "tiny" / "parseq.yaml"


def inputs_of(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    run: Any = SimpleNamespace(
        recipe=load_recipe(TINY, ["model.stem=patches", *overrides]),
        stage_dir=lambda i: tmp_path / f"{i}",
        manifest=SimpleNamespace(fingerprint="f"),
    )
    return train_step(run, 0).inputs()


def test_other_weights_to_start_from_are_another_training(tmp_path: Path) -> None:
    plain = inputs_of(tmp_path)
    for i, key in enumerate(("model.pretrained", "stages.0.init")):
        file = tmp_path / f"{i}.pt"
        file.write_bytes(b"some weights")
        first = inputs_of(tmp_path, f"{key}={file}")
        assert first != plain
        file.write_bytes(b"other weights")
        assert inputs_of(tmp_path, f"{key}={file}") != first
        file.write_bytes(b"some weights")
        moved = tmp_path / "elsewhere" / file.name
        moved.parent.mkdir(exist_ok=True)
        moved.write_bytes(file.read_bytes())
        assert inputs_of(tmp_path, f"{key}={moved}") == first
