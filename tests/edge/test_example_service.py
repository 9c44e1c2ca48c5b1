"""The example service beside the sync agent's own way of telling and asking a service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from handmade import drawn, png, striped_onnx, write_bundle

from glyphyard.edge.catalogue import open_bundle, verify_bundle
from glyphyard.edge.sync.config import HealthConfig, TellConfig
from glyphyard.edge.sync.service import Service, Unhealthy

SCRIPT = Path(__file__).parents[2] / "tools" / "example_service.py"


@dataclass
class Running:
    folder: Path
    url: str

    @property
    def agent(self) -> Service:
        told = TellConfig(signal="SIGHUP", pid_file=str(self.folder / "pid"))
        return Service(told, HealthConfig(url=f"{self.url}/health", timeout_s=20, every_s=0.05))

    def swap(self, bundle: Path) -> str:
        (self.folder / "next").symlink_to(bundle)
        os.replace(self.folder / "next", self.folder / "current")
        sha256 = verify_bundle(bundle)
        self.agent.tell(self.folder / "current", bundle.name, sha256)
        return sha256

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
        try:
            with urlopen(Request(f"{self.url}{path}", data=body), timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except HTTPError as error:
            return error.code, json.loads(error.read())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    command = [sys.executable, str(SCRIPT), str(tmp_path / "current"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        (tmp_path / "pid").write_text(str(process.pid))
        yield Running(tmp_path, process.stdout.readline().split()[-1])
    finally:
        process.kill()
        process.wait()


def test_the_example_service_follows_the_link_and_says_what_it_serves(running: Running) -> None:
    assert running.ask("/health")[0] == 503, "a fresh device has no bundle yet"
    assert running.ask("/", png(drawn("K7")))[0] == 503
    for i in (1, 2):
        sha256 = running.swap(write_bundle(running.folder / f"b{i}", striped_onnx(2 + i / 2)))
        running.agent.wait_until_healthy(f"b{i}", sha256)
        assert running.ask("/health")[1]["bundle_sha256"] == sha256
        assert running.ask("/", png(drawn("K7")))[1]["text"] == "K7"
    assert running.ask("/", b"no image")[0] == 400
    assert running.ask("/other")[0] == 404

    broken = write_bundle(running.folder / "broken")
    (broken / "model.onnx").write_bytes(b"nothing")
    (running.folder / "next").symlink_to(broken)
    os.replace(running.folder / "next", running.folder / "current")
    impatient = Service(running.agent._tell, HealthConfig(url=f"{running.url}/health", timeout_s=0.5, every_s=0.05))
    impatient.tell(running.folder / "current", "broken", "0" * 64)
    with pytest.raises(Unhealthy, match="still serves"):
        impatient.wait_until_healthy("broken", "0" * 64)
    assert running.ask("/", png(drawn("K7")))[1]["text"] == "K7", "the old model goes on"


def test_the_example_service_enlarges_and_reads(running: Running, restorer_bundle: Path) -> None:
    crop = png(drawn("K7"))
    for i, bundle in enumerate((write_bundle(running.folder / "reader"), restorer_bundle)):  # the alias may change the task
        running.agent.wait_until_healthy(f"b{i}", running.swap(bundle))
        assert running.ask("/health")[1] == {"bundle_sha256": verify_bundle(bundle), "runtime": ["CPUExecutionProvider"]}
        assert running.ask("/", crop)[1]["text"] == open_bundle(bundle).read(crop).text
    assert running.ask("/", b"no image")[0] == 400
