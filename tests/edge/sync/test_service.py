"""The service is told by command, signal or HTTP, and asked until it is well: real processes, real sockets."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from glyphyard.edge.sync.config import HealthConfig, TellConfig
from glyphyard.edge.sync.service import Service, Unhealthy

SHA = "a" * 64


class Web:
    """A service with a hook and a health page."""

    def __init__(self) -> None:
        self.posts: list[dict[str, str]] = []
        self.status, self.body = 200, b"ok"
        web = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                web.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                self.send_response(web.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(web.body)

            def log_message(self, *_: object) -> None:
                return None

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def web() -> Iterator[Web]:
    found = Web()
    yield found
    found.server.shutdown()


def tell(config: TellConfig) -> None:
    Service(config, HealthConfig()).tell(Path("/d/current"), "2-abc", SHA)


def wait(config: HealthConfig) -> None:
    Service(TellConfig(), config).wait_until_healthy("2-abc", SHA)


def test_a_command_learns_which_bundle_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pa55")
    out = tmp_path / "told"
    code = f"import os; open({str(out)!r}, 'w').write(repr(dict(os.environ)))"
    tell(TellConfig(command=[sys.executable, "-c", code]))
    told = out.read_text()
    for word in ("/d/current", "2-abc", SHA):
        assert word in told
    assert "pa55" not in told


def test_a_command_is_no_shell_line(tmp_path: Path) -> None:
    with pytest.raises(Unhealthy):
        tell(TellConfig(command=[f"touch {tmp_path}/x; true"]))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("command", [["false"], ["/no/such/program"]])
def test_a_command_that_fails_is_a_failure(command: list[str]) -> None:
    with pytest.raises(Unhealthy):
        tell(TellConfig(command=command))
    with pytest.raises(Unhealthy):
        wait(HealthConfig(command=command, timeout_s=0.05, every_s=0.01))


def test_a_signal_reaches_the_process_of_the_file(tmp_path: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: seen.append(number))
    try:
        file = tmp_path / "pid"
        file.write_text(f"{os.getpid()}\n")
        tell(TellConfig(signal="SIGUSR2", pid_file=str(file)))
        assert seen == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("text", ["", "x", "0", "1", "-1", "999999999"])
def test_a_pid_file_that_names_no_service_is_a_failure(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    with pytest.raises(Unhealthy):
        tell(TellConfig(signal="SIGUSR2", pid_file=str(tmp_path / "pid")))


def test_a_hook_is_posted_to(web: Web) -> None:
    tell(TellConfig(url=web.url))
    assert web.posts == [{"bundle": "/d/current", "version": "2-abc", "bundle_sha256": SHA}]
    for status in (500, 302, 404):
        web.status = status
        with pytest.raises(Unhealthy):
            tell(TellConfig(url=web.url))


def test_health_is_waited_for(web: Web) -> None:
    web.status = 503
    asked: list[float] = []

    def sleep(seconds: float) -> None:
        asked.append(seconds)
        if len(asked) == 3:
            web.status = 200

    Service(TellConfig(), HealthConfig(url=web.url), clock=lambda: 0.0, sleep=sleep).wait_until_healthy("2", SHA)
    assert len(asked) == 3


def test_waiting_ends_by_the_monotonic_clock(web: Web) -> None:
    web.status, now = 503, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    health = HealthConfig(url=web.url, timeout_s=5, every_s=2)
    with pytest.raises(Unhealthy, match="after 5 s"):
        Service(TellConfig(), health, clock=lambda: now, sleep=sleep).wait_until_healthy("2", SHA)
    assert now == pytest.approx(5)


@pytest.mark.parametrize(
    ("body", "well"),
    [
        (b"ok", True),
        (b"[]", True),
        (b'{"status": "up"}', True),
        (json.dumps({"bundle_sha256": SHA}).encode(), True),
        (json.dumps({"bundle_sha256": "b" * 64}).encode(), False),
    ],
)
def test_good_health_with_the_old_model_is_no_success(web: Web, body: bytes, well: bool) -> None:
    web.body = body
    health = HealthConfig(url=web.url, timeout_s=0.05, every_s=0.01)
    if well:
        wait(health)
        return
    with pytest.raises(Unhealthy, match="still serves"):
        wait(health)


def test_without_a_check_a_swap_is_over_at_once() -> None:
    tell(TellConfig())
    wait(HealthConfig())
