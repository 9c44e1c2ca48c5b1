"""The agent as a process: once or for good, woken, ended, watched; and what it needs to be imported."""

from __future__ import annotations

import ast
import configparser
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
from fakes.sync_world import World
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.core.errors import BadInput
from glyphyard.edge.sync import daemon, disk
from glyphyard.edge.sync.config import MetricsConfig, SyncConfig
from glyphyard.edge.sync.daemon import wait_s
from glyphyard.edge.sync.metrics import Board, listen, serve
from glyphyard.edge.sync.state import SyncState

SOURCES = Path(daemon.__file__).parent
WITHIN_S = 60.0


@given(st.integers(0, 200), st.integers(0, 1000), st.floats(1, 3600), st.floats(1, 100))
def test_waits_grow_and_stay_within_bounds_and_out_of_step(failures: int, seed: int, poll_s: float, times: float) -> None:
    value = {"registry": {"url": "http://h"}, "model": "m", "root": "/r", "poll_s": poll_s, "max_wait_s": poll_s * times}
    config = SyncConfig.from_json(value, "c")
    waited = wait_s(config, failures, random.Random(seed))
    most = min(poll_s * times, poll_s * 2.0 ** min(failures, 60))
    assert 0.5 * most <= waited <= 1.25 * most
    assert waited <= 1.25 * config.max_wait_s
    others = {wait_s(config, failures, random.Random(i)) for i in range(20)}
    assert len(others) == 20


def config_file(world: World, **changes: object) -> Path:
    path = world.folder / "sync.json"
    path.write_text(json.dumps(world.config(**changes).to_json()))
    return path


def main(*arguments: str) -> int:
    return daemon.main(list(arguments))


def test_once_follows_and_says_so_in_its_exit_code(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(config_file(world))
    assert main("--config", path, "--once") == 0
    assert world.serving() == 2
    world.registry.faults.status = 500
    assert main("--config", path, "--once") == 4
    assert world.serving() == 2
    assert main("--config", path, "--state") == 0
    assert json.loads(capsys.readouterr().out)["serving"] == world.keys[1]
    assert main("--config", path, "--forgive", "2") == 0


def test_the_state_is_shown_without_the_registrys_secret(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    registry = {"url": world.registry.url, "credentials_file": str(world.root / "nobody-may-read-it")}
    path = str(config_file(world, registry=registry))
    assert main("--config", path, "--state") == 0
    assert main("--config", path, "--forgive", "2") == 0
    assert main("--config", path, "--once") == 2
    assert "nobody-may-read-it" in capsys.readouterr().err


def test_mistakes_are_one_line(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("--config", str(tmp_path / "nothing.json"), "--once") == 2
    broken = tmp_path / "broken.json"
    broken.write_text('{"model": 7}')
    assert main("--config", str(broken)) == 2
    file = tmp_path / "file"
    file.write_text("")
    assert main("--config", str(config_file(world, root=str(file))), "--once") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    assert "Traceback" not in said


def started(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "glyphyard.edge.sync", "--config", str(path)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def until(holds: object, what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not within {WITHIN_S:g} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_daemon_polls_wakes_shows_its_state_and_ends(world: World) -> None:
    port = free_port()
    config = config_file(world, poll_s=3600, metrics={"port": port})
    process = started(config)
    try:
        until(lambda: world.serving() == 2, "the upgrade")
        page = f"http://127.0.0.1:{port}"
        ask = build_opener(ProxyHandler({})).open
        until(lambda: b"in_sync" in ask(f"{page}/metrics", timeout=5).read(), "metrics")
        assert json.loads(ask(f"{page}/state", timeout=5).read())["serving"] == world.keys[1]
        second = started(config)
        assert second.wait(WITHIN_S) == 4
        assert "another sync agent" in second.stderr.read()  # type: ignore[union-attr]
        world.registry.point("champion", 1)
        process.send_signal(signal.SIGHUP)
        until(lambda: world.serving() == 1, "the rollback after SIGHUP")
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]
    finally:
        process.kill()
        process.wait()
    assert world.poll().outcome == "current"


def test_a_daemon_forgives_when_it_is_asked_to(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.service.sick.add(world.keys[1])
    assert world.poll().outcome == "unhealthy"
    config = config_file(world, poll_s=3600)
    process = started(config)
    try:
        until(lambda: "quarantined" in (world.root / "state.json").read_text(), "the first poll")
        for version in (world.keys[1], "7"):  # two before the next poll, one of which is not there
            assert main("--config", str(config), "--forgive", version) == 0
            assert "next poll" in capsys.readouterr().out
        assert (world.serving(), list(world.state()["quarantine"])) == (1, [world.keys[1]])
        process.send_signal(signal.SIGHUP)
        until(lambda: world.serving() == 2, "the upgrade to the version that was forgiven")
    finally:
        process.kill()
        process.wait()
    assert not list(world.root.glob("forgive-*"))
    assert world.state()["quarantine"] == {}


@pytest.mark.parametrize("version", ["../2", "two", "2-", "*"])
def test_what_is_no_version_is_not_forgiven(world: World, version: str) -> None:
    before = set(world.root.iterdir())
    with disk.only_one(world.root / "lock"):
        assert main("--config", str(config_file(world)), "--forgive", version) == 2
    assert set(world.root.iterdir()) <= before | {world.root / "lock"}


def test_an_agent_that_was_killed_leaves_the_lock_to_the_next(world: World) -> None:
    world.registry.faults.silence_s = 0.2  # killed in the middle of something
    process = started(config_file(world))
    until(lambda: len(world.registry.requests) > 1, "the first requests")
    process.kill()
    process.wait()
    world.registry.faults.silence_s = 0
    assert main("--config", str(config_file(world)), "--once") == 0
    assert world.serving() == 2


def test_the_board_is_what_prometheus_reads() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    now = 100.0
    board = Board(clock=lambda: now)
    assert board.as_metrics() == ""
    assert board.as_json() == {}
    state = SyncState('odd "model"\\', "champion", serving="2-ab", wanted="3-cd", outcome="updated", downloaded_bytes=12_345_678)
    board.show(state)
    now = 160.0
    state.outcome, state.failures, state.quarantine = "unreachable", 2, {"3-cd": "bad"}
    board.show(state)
    families = {family.name: family for family in parser.text_string_to_metric_families(board.as_metrics())}
    found = {
        (s.name.removeprefix("glyphyard_sync_"), *(v for k, v in s.labels.items() if k not in ("model", "alias"))): s.value
        for f in families.values()
        for s in f.samples
    }
    assert {s.labels["model"] for f in families.values() for s in f.samples} == {'odd "model"\\'}
    assert found["serving", "2-ab"] == 2
    assert found["wanted", "3-cd"] == 3
    assert found[("in_sync",)] == 0
    assert found["outcome", "unreachable"] == 1
    assert found["outcome", "updated"] == 0
    assert found["polls_total", "updated"] == found["polls_total", "unreachable"] == 1
    assert found[("downloaded_bytes_total",)] == 12_345_678
    assert found[("quarantined",)] == 1
    assert found[("seconds_since_success",)] == 60


def test_a_port_that_is_taken_is_a_mistake_and_none_is_none() -> None:
    first = listen(Board(), "127.0.0.1", 0)
    try:
        with pytest.raises(BadInput, match="cannot listen"):
            serve(Board(), MetricsConfig(port=first.server_port))
    finally:
        first.shutdown()
        first.server_close()
    assert serve(Board(), MetricsConfig(port=0)) is None


def test_the_unit_runs_what_the_package_installs() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(SOURCES / "glyphyard-sync.service")
    command = unit["Service"]["ExecStart"].split()
    assert command[0].endswith("/glyphyard-sync")
    assert command[1:] == ["--config", str(daemon.CONFIG)]
    assert unit["Service"]["Restart"] == "always"
    assert not any(word in unit["Service"]["ExecStart"].lower() for word in ("password", "token"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = (SOURCES / "glyphyard-sync.service").read_text()
    (tmp_path / "glyphyard-sync.service").write_text(unit.replace("/opt/glyphyard/bin/glyphyard-sync", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / "glyphyard-sync.service"], capture_output=True, text=True)
    assert "glyphyard-sync" not in done.stderr, "what it says of other units is none of ours"


def test_the_agent_needs_no_more_than_a_device_has() -> None:
    code = (
        "import sys\nimport glyphyard.edge.sync.daemon, glyphyard.edge.sync.trial, glyphyard.edge.queue\n"
        "heavy = ('torch', 'ray', 'mlflow', 'pandas', 'pydantic', 'pyarrow', 'requests', 'click', 'rich', 'onnxruntime')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("file", sorted(SOURCES.glob("*.py")), ids=lambda path: path.name)
def test_no_wall_clock_decides_anything(file: Path) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
    assert not calls & {"time.time", "time.ctime", "datetime.today", "datetime.utcnow"}
    if file.name != "agent.py":  # which writes one into the state, for people
        assert "datetime.now" not in calls
