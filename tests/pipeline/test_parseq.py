"""The tiny PARSeq recipe from data to verdict in one process: trained, exported, held against torch, evaluated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from glyphyard.core.files import read_json
from glyphyard.core.records import BundleRecord, Scorecard

ROOT = Path(__file__).parents[2]
HERE = ["--set", "runtime.launcher=in_process", "--set", "register.enabled=false"]


@pytest.mark.slow
def test_the_tiny_parseq_recipe_runs_to_its_verdict(tmp_path: Path) -> None:
    recipe = ROOT / "recipes" / "tiny" / "parseq.yaml"
    command = [sys.executable, "-m", "glyphyard.cli.main", "run", str(recipe), *HERE, "--store", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 3, done.stderr
    run = Path(json.loads(done.stdout)["run"])
    assert read_json(run / "bundle" / "bundle.json")["decode"]["method"] == "attention_greedy"
    record = BundleRecord.read(run / "steps" / "bundle.json")
    assert record.strings_compared > 100
    assert record.max_abs_difference < 1e-3
    assert Scorecard.read(run / "scorecard.json").samples > 20
