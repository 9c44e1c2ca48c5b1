"""The floors hold, and each contract has been seen to fail on a planted violation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = Path(sys.executable).parent / "lint-imports"
PLANTED = [
    ("core", "import glyphyard.recipe.recipe", "floors"),
    ("tasks", "import glyphyard.training.loop", "floors"),
    ("report", "import glyphyard.registry.register", "floors"),
    ("edge", "import torch", "never reach torch"),
    ("edge", "import pydantic", "need no pydantic"),
    (
        "data",
        "def late() -> None:\n    from ray.data import DataContext",
        "only cluster, data.prepare and data.stream import ray",
    ),
    ("training", "import ray", "only cluster, data.prepare and data.stream import ray"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(folder / "src")}
    )


@pytest.mark.slow
@pytest.mark.parametrize(("room", "line", "contract"), PLANTED, ids=[f"{room}: {line}" for room, line, _ in PLANTED])
def test_a_planted_violation_breaks_its_contract(tmp_path: Path, room: str, line: str, contract: str) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "glyphyard" / room / "planted.py").write_text(line + "\n")
    done = lint(tmp_path)
    assert done.returncode != 0
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert any(contract in row for row in broken), done.stdout


def test_a_new_room_needs_a_floor(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "src" / "glyphyard" / "utils").mkdir()
    (tmp_path / "src" / "glyphyard" / "utils" / "__init__.py").write_text("")
    assert lint(tmp_path).returncode != 0
