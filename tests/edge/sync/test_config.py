"""The configuration is read strictly, and secrets come from where only root looks."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from glyphyard.core.errors import BadInput
from glyphyard.edge.sync.config import Credentials, SyncConfig

SECRET = "pa55 w@rd:x"


def a_config(**changes: Any) -> SyncConfig:
    value = {"registry": {"url": "https://mlflow.example:5000/prefix"}, "model": "reader", "root": "/var/lib/glyphyard"} | changes
    return SyncConfig.from_json(value, "sync.json").checked("sync.json")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_three_keys_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "sync.json"
    path.write_text('{"registry": {"url": "http://127.0.0.1:5000"}, "model": "m", "root": "/r"}')
    config = SyncConfig.load(path)
    assert (config.alias, config.keep, config.trial.engine, config.queue) == ("champion", 3, None, None)


def test_certificates_that_are_not_there_are_missed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sync.json"
    path.write_text('{"registry": {"url": "https://h", "ca_file": "/no/such.pem"}, "model": "m", "root": "/r"}')
    with pytest.raises(BadInput, match=r"registry\.ca_file.*/no/such\.pem"):
        SyncConfig.load(path).credentials()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"registry": {"url": f"https://anna:{SECRET}@host"}}, "GY045"),
        ({"registry": {"url": "https://token@host"}}, "GY045"),
        ({"registry": {"url": "ftp://host"}}, "GY045"),
        ({"registry": {"url": "host:5000"}}, "GY045"),
        ({"registry": {"url": "http://host:99999"}}, "GY045"),
        ({"registry": {"url": "http://host/?token=x"}}, "GY045"),
        ({"registry": {"url": "http://host/ x"}}, "GY045"),
        ({"registry": {"url": "http://host/\u00fc"}}, "GY045"),
        ({"tell": {"url": "nonsense"}}, r"tell\.url.*GY045"),
        ({"health": {"url": "127.0.0.1:8080/health"}}, r"health\.url.*GY045"),
        ({"trial": {"providers": ["Foo"]}}, r"trial\.providers.*Foo"),
        ({"trial": {"engine": "orin"}}, r"trial\.engine.*orin"),
        ({"root": "relative"}, "GY046"),
        ({"model": ""}, "GY046"),
        ({"keep": 1}, "GY047"),
        ({"poll_s": 0}, "GY047"),
        ({"poll_s": 600, "max_wait_s": 60}, "GY047"),
        ({"trial": {"max_disagreement": 1.5}}, "GY047"),
        ({"health": {"timeout_s": float("nan")}}, "GY047"),
        ({"queue": {"folder": "/q", "below": 90}}, "GY047"),
        ({"queue": {"folder": "/q", "max_age_days": 0}}, "GY047"),
        ({"tell": {"command": ["a"], "url": "http://localhost/"}}, "GY048"),
        ({"tell": {"signal": "SIGHUP"}}, "GY048"),
        ({"tell": {"signal": "SIGNAL", "pid_file": "/x"}}, "GY048"),
        ({"tell": {"signal": "9", "pid_file": "/x"}}, "GY048"),
        ({"health": {"command": ["a"], "url": "http://localhost/"}}, "GY048"),
    ],
)
def test_a_law_that_is_broken_is_named(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(BadInput, match=code) as caught:
        a_config(**changes)
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"surprise": 1}, {"registry": {}}, {"registry": {"url": "http://h", "password": "x"}}, {"keep": "3"}]
)
def test_an_unknown_key_or_kind_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        a_config(**changes)


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert a_config().credentials().header is None
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    assert a_config().credentials().header is None
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    found = a_config().credentials()
    assert b64decode(str(found.header).removeprefix("Basic ")).decode() == f"anna:{SECRET}"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert a_config().credentials().header == "Bearer t0ken"
    assert SECRET not in repr(found) + str(found)


def credentials_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("secret", ["t0ken\n", "t0ken\r\n", "t0\tken", "t0 ken", "t0k\u20acn"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    file = credentials_file(tmp_path, json.dumps({"token": secret}))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", secret)
    for find, place in (
        (lambda: Credentials.find(str(file)), file.name),
        (lambda: Credentials.find(None), "MLFLOW_TRACKING_TOKEN"),
    ):
        with pytest.raises(BadInput, match=place) as caught:
            find()
        assert "t0" not in str(caught.value).replace(str(tmp_path), "")


def test_a_password_with_a_line_break_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pa55\r")
    with pytest.raises(BadInput, match="MLFLOW_TRACKING_PASSWORD") as caught:
        a_config().credentials()
    assert "pa55" not in str(caught.value)


def test_credentials_come_from_a_file_that_only_root_reads(tmp_path: Path) -> None:
    path = credentials_file(tmp_path, json.dumps({"username": "anna", "password": SECRET}))
    assert Credentials.find(str(path)).username == "anna"
    path = credentials_file(tmp_path, '{"token": "t0ken"}')
    assert Credentials.find(str(path)).header == "Bearer t0ken"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadInput, match="GY049"):
        Credentials.find(str(credentials_file(tmp_path, '{"token": "t0ken"}', mode)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '["username", "password"]',
        '["token"]',
        '"pa55"',
        '{"token": 7}',
        '{"token": ""}',
        '{"username": "anna"}',
        '{"user": "pa55"}',
    ],
)
def test_a_file_with_something_else_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Credentials.find(str(credentials_file(tmp_path, text)))
    assert "pa55" not in str(caught.value)
    with pytest.raises(BadInput):
        Credentials.find(str(tmp_path / "nothing"))


def test_credentials_do_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    with pytest.raises(BadInput, match="GY049"):
        a_config(registry={"url": "http://mlflow.example"}).credentials()
    for registry in ({"url": "http://127.0.0.1:5000"}, {"url": "http://mlflow.example", "allow_plain_http": True}):
        assert a_config(registry=registry).credentials().token == "t0ken"
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    assert a_config(registry={"url": "http://mlflow.example"}).credentials().header is None


def test_the_configuration_in_the_docs_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs" / "edge.md").read_text()
    block = text.partition("only `registry.url`, `model` and `root` must be there:")[2].partition("Credentials stand")[0]
    config = SyncConfig.from_json(json.loads(block), "docs").checked("docs")
    assert config.trial.engine == "orin_nx_jp62"
    assert config.queue is not None
