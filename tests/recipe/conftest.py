"""A recipe and its suite in a temporary folder, to be spoilt by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = """\
name: little
thresholds:
  - {metric: cer, below: 0.05}
  - {metric: exact_match, above: 0.85}
equivalences: ["0O"]
"""
RECIPE = """\
name: little
task: recognition
seed: 3
dataset:
  sources:
    - name: made
      kind: synthetic_plates
      count: 10
stages:
  - name: main
    epochs: 2
    lr: 1e-3
evaluate:
  suite: suite.yaml
"""


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the little recipe with `old` replaced by `new`."""

    def write(old: str = "", new: str = "", name: str = "little.yaml") -> Path:
        assert old in RECIPE, f"{old!r} is not in the recipe"
        (tmp_path / "suite.yaml").write_text(SUITE)
        path = tmp_path / name
        path.write_text(RECIPE.replace(old, new) if old else RECIPE + new)
        return path

    return write
