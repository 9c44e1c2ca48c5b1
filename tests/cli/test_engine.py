"""`glyphyard engine`: its verbs, its statuses, and an engine before the same gate as any model."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_device import fake_tensorrt, soft_bundle  # noqa: F401  (fixtures)
from handmade import Row, write_dataset
from plans import add_plan

from glyphyard.cli.main import main
from glyphyard.core.targets import TARGETS

Device = Callable[..., None]
SUITE = """\
name: little
thresholds: [{metric: exact_match, above: 0.8}]
min_samples: 20
confidence: 0.9
slices: [length]
"""


@pytest.fixture(autouse=True)
def quick_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glyphyard.edge.replay.RUNS", 5)


@pytest.fixture
def bundle(soft_bundle: Path, tmp_path: Path) -> Path:  # noqa: F811
    import shutil

    folder = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    add_plan(folder, "orin_nx_jp62", precision="int8", batch=(1, 4, 8))
    return folder


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_an_int8_engine_is_used_after_it_passed_a_suite(
    bundle: Path,
    tmp_path: Path,
    fake_tensorrt: Device,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_tensorrt()
    (tmp_path / "suite.yaml").write_text(SUITE)
    rows = [Row(f"{a}{i}{i}Z", group=f"{a}{i}") for a in "ABCDEFGH" for i in range(10)]
    right = write_dataset(tmp_path / "right", rows)
    wrong = write_dataset(tmp_path / "wrong", [Row(row.text, shown="999", group=row.group) for row in rows])
    command = ["engine", "build", bundle, "--target", "orin_nx_jp62", "--cache", tmp_path / "cache"]
    judged = [*command, "--suite", tmp_path / "suite.yaml", "--dataset"]
    assert status(*command) == 4
    assert "suite" in capsys.readouterr().err
    assert status(*judged, wrong) == 4
    assert "FAIL" in capsys.readouterr().err
    assert status(*judged, right, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["verdict"], record["suite"], record["figures"]["exact_match"]) == ("PASS", "little", 1.0)
    assert status(*command) == 0
    assert record["key"] in capsys.readouterr().out


def test_options_that_do_not_go_together_are_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["engine", "build", bundle, "--target", "orin_nx_jp62"]
    assert status(*command, "--suite", "x.yaml") == 2
    assert status(*command, "--ray", "--again") == 2
    assert status("engine", "build", bundle, "--target", "orin") == 2
    assert all(line.startswith("glyphyard: ") for line in capsys.readouterr().err.splitlines())


def test_the_plan_is_a_command_of_trtexec(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("engine", "plan", bundle, "--target", "orin_nx_jp62") == 0
    words = shlex.split(capsys.readouterr().out)
    assert words[0] == "trtexec"
    assert {"--int8", "--fp16", "--maxShapes=input:8x1x32x128", f"--onnx={bundle}/model.onnx"} <= set(words)
    assert status("engine", "plan", bundle, "--target", "orin_nx_jp62", "--json") == 0
    assert json.loads(capsys.readouterr().out)["command"] == words


def test_all_targets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("engine", "targets") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(TARGETS)
    assert status("engine", "targets", "--json") == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == set(TARGETS)


def test_a_device_without_click_still_builds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from glyphyard import cli

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["glyphyard", "engine", "build", "nowhere", "--target", "orin_nx_jp62"])
    with pytest.raises(SystemExit) as ended:
        cli.entry()
    assert ended.value.code == 2
    assert "nowhere" in capsys.readouterr().err
