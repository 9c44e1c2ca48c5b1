"""Against a real `mlflow server` with basic auth: promotion, refusal, two promoters, and the sync agent as a reader of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from fakes.registry_server import FakeRegistry
from fakes.run_folders import a_recipe, a_run, registered
from handmade import striped_onnx, write_bundle

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.edge import Recognizer
from glyphyard.edge.sync import Agent, SyncConfig
from glyphyard.registry import Tracking, history, models, promote, rollback

ADMIN, CAMERA = ("admin", "correct horse battery"), ("camera", "staple the horse 7")
STARTED_WITHIN_S = 200.0


@dataclass
class Server:
    url: str
    folder: Path
    log: Path

    @property
    def tracking(self) -> Tracking:
        return Tracking.of(self.folder / "store", self.url)

    def get(self, path: str, user: tuple[str, str] | None = ADMIN, /, **query: str) -> tuple[int, dict[str, str], bytes]:
        return self._ask(Request(f"{self.url}{path}?{urlencode(query)}"), user)

    def post(self, path: str, body: dict[str, Any]) -> int:
        request = Request(f"{self.url}{path}", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        return self._ask(request, ADMIN)[0]

    def _ask(self, request: Request, user: tuple[str, str] | None) -> tuple[int, dict[str, str], bytes]:
        if user:
            request.add_header("Authorization", "Basic " + b64encode(":".join(user).encode()).decode())
        try:
            with urlopen(request, timeout=20) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except HTTPError as error:
            return error.code, dict(error.headers), error.read()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with an administrator and a camera that may only read."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = {ADMIN[0]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n"  # a password is hashed slowly on purpose: once will do here
    )
    environment = os.environ | {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=out, stderr=out, start_new_session=True)
    found = Server(f"http://127.0.0.1:{port}", folder, log)
    try:
        _wait(found, process)
        assert found.post("/api/2.0/mlflow/users/create", {"username": CAMERA[0], "password": CAMERA[1]}) == 200
        yield found
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, server.log.read_text()[-3000:]
        try:
            if server.get("/health", None)[0] == 200:
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(server.log.read_text()[-3000:])


@pytest.fixture
def as_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])


def aliases(server: Server) -> dict[str, str]:
    return {alias: v.version for v in models(server.tracking, "crnn") for alias in v.aliases}


@pytest.mark.slow
def test_from_the_gate_to_the_camera_and_back(
    server: Server, as_admin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    store, recipe = server.folder / "store", a_recipe("crnn", tracking_uri=server.url)
    bundles = [write_bundle(tmp_path / f"b{i}", striped_onnx(2 + i / 2)) for i in range(3)]
    for i, bundle in enumerate(bundles, 1):
        release = registered(a_run(store, f"run-{i}", cer=0.03 / i, recipe=recipe, real=bundle), recipe, store)
        assert (release.version, release.alias) == (str(i), "candidate"), release.message
    said: list[str] = []
    promote("crnn", "1", server.tracking, by="anna", why="first", say=said.append)

    # The camera reads with its own account, from a file that only it may read.
    secret = tmp_path / "credentials.json"
    secret.write_text(json.dumps({"username": CAMERA[0], "password": CAMERA[1]}))
    secret.chmod(0o600)
    value = {"registry": {"url": server.url, "credentials_file": str(secret)}, "model": "crnn", "root": str(tmp_path / "device")}
    config = SyncConfig.from_json(value | {"metrics": {"port": 0}}, "config").checked("config")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name)
    agent = Agent(config, say=said.append)
    assert agent.poll().outcome == "updated", agent.state.message
    for name in ("model.onnx", "bundle.json", "golden.npz"):
        assert (tmp_path / "device" / "current" / name).read_bytes() == (bundles[0] / name).read_bytes()
    assert Recognizer(tmp_path / "device" / "current").replay() == 3
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", CAMERA[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", CAMERA[1])
    with pytest.raises((StepFailed, BadInput)) as refused:
        promote("crnn", "2", server.tracking, by="the camera", why="I like it")
    assert CAMERA[1] not in str(refused.value)

    # Two administrators at once: one at a time, and the loser is told.
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])

    def try_promoting(version: str) -> str:
        try:
            promote("crnn", version, server.tracking, by=f"admin-{version}", why="both at once", say=said.append)
        except StepFailed as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(try_promoting, ["2", "3"]))
    assert "done" in outcomes, outcomes
    trail = history(server.tracking, "crnn")
    assert trail[0].version == "1"
    assert len(trail) == 1 + outcomes.count("done")
    now = aliases(server)
    assert now["champion"] == trail[-1].version
    assert now["previous"] == trail[-1].from_version
    champion = int(now["champion"])

    assert agent.poll().outcome == "updated", agent.state.message
    assert (tmp_path / "device" / "current" / "model.onnx").read_bytes() == (bundles[champion - 1] / "model.onnx").read_bytes()
    rollback("crnn", server.tracking, by="anna", why="reads 8 for B", say=said.append)
    back = int(aliases(server)["champion"])
    assert back != champion
    assert agent.poll().outcome == "updated", agent.state.message
    assert (tmp_path / "device" / "current" / "model.onnx").read_bytes() == (bundles[back - 1] / "model.onnx").read_bytes()

    # A wrong password changes nothing and is not repeated to anyone.
    secret.write_text(json.dumps({"username": CAMERA[0], "password": "wrong pa55word"}))
    stranger = Agent(config, say=said.append)
    assert stranger.poll().outcome == "unreachable"
    assert "401" in stranger.state.message
    heard = capfd.readouterr()
    everything = " ".join([*said, heard.out, heard.err, (tmp_path / "device" / "state.json").read_text()])
    for word in (ADMIN[1], CAMERA[1], "wrong pa55word"):
        assert word not in everything

    _the_fake_answers_like_the_real_one(server, bundles[0])


def _the_fake_answers_like_the_real_one(server: Server, bundle: Path) -> None:
    """Hold each answer that the agent reads against the fake registry's: statuses, keys, types, names, bytes."""
    alias, listing, file = (
        "/api/2.0/mlflow/registered-models/alias",
        "/api/2.0/mlflow/artifacts/list",
        "/model-versions/get-artifact",
    )
    status, _, body = server.get(alias, ADMIN, name="crnn", alias="candidate")
    real = json.loads(body)["model_version"]
    run_id = real["run_id"]
    with FakeRegistry("crnn") as fake:
        fake.publish(3, bundle)
        fake.point("candidate", 3)

        def both(path: str, /, **query: str) -> tuple[tuple[int, Any], tuple[int, Any]]:
            got = server.get(path, ADMIN, **query)
            return (got[0], json.loads(got[2])), fake.answer(path, {**query, **({"run_id": "run3"} if "run_id" in query else {})})

        ours = fake.answer(alias, {"name": "crnn", "alias": "candidate"})[1]["model_version"]
        read = {"version", "run_id", "source", "tags"}
        assert status == 200
        assert read <= set(ours) & set(real)
        assert all(type(ours[key]) is type(real[key]) for key in read)
        assert {"bundle_sha256", "verdict"} <= {t["key"] for t in real["tags"]}
        for query in ({"name": "crnn", "alias": "nobody"}, {"name": "nobody", "alias": "champion"}):
            (a, said), (b, says) = both(alias, **query)
            assert (a, said["error_code"]) == (b, says["error_code"])
        (_, top), (_, fake_top) = both(listing, run_id=run_id)
        assert real["source"] == f"{top['root_uri']}/bundle"
        assert ours["source"] == f"{fake_top['root_uri']}/bundle"
        (_, inside), (_, fake_inside) = both(listing, run_id=run_id, path="bundle")
        assert [f["path"] for f in inside["files"]] == sorted(f["path"] for f in fake_inside["files"])
        for theirs, mine in zip(inside["files"], sorted(fake_inside["files"], key=lambda f: f["path"]), strict=True):
            assert set(mine) == set(theirs)
            assert type(mine["file_size"]) is type(theirs["file_size"])
    whole = server.get(file, ADMIN, name="crnn", version="1", path="model.onnx")
    assert (whole[0], whole[2]) == (200, (bundle / "model.onnx").read_bytes())
    assert server.get(file, ADMIN, name="crnn", version="1", path="nothing.onnx")[0] == 404
    assert server.get(file, ADMIN, name="crnn", version="1", path="../verdict.json")[0] == 400
    assert server.get(alias, None, name="crnn", alias="candidate")[0] == 401
    request = Request(f"{server.url}{file}?{urlencode({'name': 'crnn', 'version': '1', 'path': 'model.onnx'})}")
    request.add_header("Range", "bytes=100-")
    code, headers, rest = server._ask(request, ADMIN)
    assert (code, rest) == (206, whole[2][100:])
    assert {k.lower(): v for k, v in headers.items()}["content-range"].startswith("bytes 100-")
