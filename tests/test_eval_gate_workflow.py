"""The workflow that a team copies: its shell lines are run here as they are written, with a small bundle."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from handmade import drawn, png, write_bundle
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
RECIPE = """\
name: striped
task: recognition
dataset:
  sources:
    - {name: held, kind: plate_tsv, labels: labels.txt, splits: [test]}
    - {name: made, kind: synthetic_plates, count: 1, splits: [train]}
    - {name: checked, kind: synthetic_plates, count: 1, seed: 2, splits: [validation]}
stages:
  - {name: main, epochs: 1}
evaluate:
  suite: suite.yaml
"""


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    return dict(YAML(typ="safe").load((ROOT / ".github" / "workflows" / "eval-gate.yml").read_text()))


def step(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [s for s in workflow["jobs"]["eval-gate"]["steps"] if s.get("name") == name]
    return dict(found)


class Runner:
    """Runs a step's shell lines as GitHub does: `bash -e`, its environment, files for outputs and summary."""

    def __init__(self, workflow: dict[str, Any], folder: Path, **environment: str) -> None:
        self.workflow, self.folder = workflow, folder
        self.outputs, self.summary = folder / "outputs", folder / "summary"
        self.environment = os.environ | {k: str(v) for k, v in workflow["env"].items()} | environment
        # `.venv` and `jobs` stand where the checkout has them.
        for name, target in ((".venv/bin/python", Path(sys.executable)), ("jobs", ROOT / "jobs")):
            link = folder / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if name == "jobs":
                link.symlink_to(target)
            else:  # a link to the interpreter alone would leave its environment behind
                link.write_text(f'#!/bin/sh\nexec "{target}" "$@"\n')
                link.chmod(link.stat().st_mode | stat.S_IXUSR)

    def run(self, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        lines = str(step(self.workflow, name)["run"])
        assert "${{" not in lines  # expressions belong into `env`, where nobody can smuggle shell into them
        files = {"GITHUB_OUTPUT": str(self.outputs), "GITHUB_STEP_SUMMARY": str(self.summary)}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", lines],
            cwd=self.folder, env=self.environment | files | environment, capture_output=True, text=True,
        )  # fmt: skip

    def output(self, key: str) -> str:
        return re.findall(rf"^{key}=(.*)$", self.outputs.read_text(), re.M)[-1]


def checkout(folder: Path, crops: int, misread: int, min_samples: int) -> Path:
    """Write a recipe, its suite and its labelled crops."""
    folder.mkdir()
    lines = []
    for i in range(crops):
        (folder / f"{i}.png").write_bytes(png(drawn(f"{'B' if i < misread else 'A'}{i:03d}")))
        lines.append(f"{i}.png\tA{i:03d}\n")
    (folder / "labels.txt").write_text("".join(lines))
    (folder / "recipe.yaml").write_text(RECIPE)
    suite = f"name: s\nthresholds: [{{metric: exact_match, above: 0.8}}]\nmin_samples: {min_samples}\nbootstrap: 200\n"
    (folder / "suite.yaml").write_text(suite)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crops", "misread", "min_samples", "status", "ends"), [(60, 0, 50, "0", 0), (60, 30, 50, "1", 1), (20, 0, 50, "3", 0)]
)
def test_the_gate_runs_as_written(
    workflow: dict[str, Any], tmp_path: Path, crops: int, misread: int, min_samples: int, status: str, ends: int
) -> None:
    folder = checkout(tmp_path / "checkout", crops, misread, min_samples)
    bundle = write_bundle(tmp_path / "bundle")
    runner = Runner(workflow, folder, BUNDLE=str(bundle), RECIPE="recipe.yaml", SUITE="suite.yaml")
    done = runner.run("bundle")
    assert done.returncode == 0, done.stderr
    done = runner.run("gate", BUNDLE=runner.output("path"))
    assert done.returncode == 0, done.stderr
    assert runner.output("status") == status, done.stderr
    assert runner.summary.read_text() == (folder / "eval-gate" / "verdict.md").read_text()
    done = runner.run("verdict", STATUS=runner.output("status"))
    assert done.returncode == ends
    assert ("::warning::" in done.stdout) == (status == "3")
    if status == "0":
        update = ["baseline", "update", "champion", "--from", "eval-gate", "--why", "the first", "--yes"]
        subprocess.run([sys.executable, "-m", "glyphyard.cli.main", *update], cwd=folder, check=True, capture_output=True)
        runner.run("gate", BUNDLE=str(bundle), BASELINE="champion")
        assert runner.output("status") == "0"
        assert "against baseline `champion`" in (folder / "eval-gate" / "verdict.md").read_text()


def test_bad_input_fails_the_job_and_leaves_no_comment(workflow: dict[str, Any], tmp_path: Path) -> None:
    folder = checkout(tmp_path / "checkout", 2, 0, 50)
    runner = Runner(workflow, folder, RECIPE="recipe.yaml", SUITE="no_such_suite")
    done = runner.run("gate", BUNDLE=str(tmp_path / "nothing"))
    assert done.returncode == 0
    assert runner.output("status") == "2"
    assert not (folder / "eval-gate" / "verdict.md").exists()
    assert runner.run("verdict", STATUS="2").returncode == 2


def test_the_comment_is_the_verdict(workflow: dict[str, Any], tmp_path: Path) -> None:
    folder = checkout(tmp_path / "checkout", 1, 0, 50)
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\n')
    gh.chmod(0o755)
    runner = Runner(workflow, folder, PATH=f"{gh.parent}:{os.environ['PATH']}")
    assert runner.run("comment", PULL_REQUEST="7", GH_TOKEN="x").returncode == 0
    arguments = (folder / "arguments").read_text().split()
    assert arguments[:3] == ["pr", "comment", "7"]
    assert arguments[arguments.index("--body-file") + 1] == "eval-gate/verdict.md"


def test_only_what_it_needs_may_be_written(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert workflow["on"] == "pull_request"  # never pull_request_target: that runs a stranger's code with our token
