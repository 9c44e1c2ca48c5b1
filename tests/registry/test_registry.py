"""Against a real sqlite MLflow: what is registered, found again, promoted, refused and kept for later."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fakes.run_folders import a_recipe, a_run, registered

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import read_json, sha256_file, write_json
from glyphyard.core.records import Release, Scorecard
from glyphyard.registry import Tracking, attach_report, history, models, promote, push, rollback
from glyphyard.registry.tracking import connected

SECRET = "pa55/w@rd"


@dataclass
class World:
    store: Path
    first: Release
    cwd: Path

    @property
    def tracking(self) -> Tracking:
        return Tracking.of(self.store)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One embedded MLflow, in a folder with a space, with one passing version; the working directory is watched."""
    store, cwd, before = tmp_path_factory.mktemp("a store"), tmp_path_factory.mktemp("cwd"), Path.cwd()
    os.chdir(cwd)
    yield World(store, registered(a_run(store, "run-1"), a_recipe(), store), cwd)
    os.chdir(before)
    assert not list(cwd.iterdir()), "MLflow wrote into the working directory"


def only(world: World, name: str) -> list[str]:
    return [v.version for v in models(world.tracking, name)]


def test_a_pass_becomes_a_version_with_the_whole_bundle(world: World, tmp_path: Path) -> None:
    release, run = world.first, world.store / "run-1"
    assert (release.version, release.alias) == ("1", "candidate")
    with connected(world.tracking) as client:
        version = client.get_model_version_by_alias("reader", "candidate")
        assert version.tags["verdict"] == "PASS"
        assert version.tags["run_folder"] == "run-1"
        assert version.tags["bundle_sha256"] == sha256_file(run / "bundle" / "bundle.json")
        assert version.tags["cer"] == "0.01"
        assert (version.tags["cer_low"], version.tags["cer_high"]) == ("0.005", "0.02")
        assert version.tags["gate"] == "PASS: cer < 0.05"
        assert version.tags["recipe_fingerprint"] == a_recipe().fingerprint
        assert version.tags["sha256/model.onnx"] == sha256_file(run / "bundle" / "model.onnx")
        assert version.tags["checkpoint_sha256"] == "c" * 64
        manifest = Path(client.download_artifacts(version.run_id, "dataset_manifest.json", str(tmp_path)))
        assert version.tags["dataset_manifest_sha256"] == sha256_file(manifest)
        audit = Path(client.download_artifacts(version.run_id, "audit.json", str(tmp_path)))
        assert read_json(audit)["counts"] == {"unreadable": 1}
        here = Path(client.download_artifacts(version.run_id, "bundle", str(tmp_path)))
        for path in (p for p in (run / "bundle").rglob("*") if p.is_file()):
            assert (here / path.relative_to(run / "bundle")).read_bytes() == path.read_bytes()
        assert version.source.startswith((world.store / "mlartifacts").as_uri())
        logged = client.get_run(version.run_id)
        assert logged.data.params["stages.0.epochs"] == "2"
        assert logged.info.status == "FINISHED"
        history_of = client.get_metric_history(version.run_id, "main/validation/cer")
        assert [(m.step, m.value) for m in history_of] == [(1, 0.1), (2, 0.05)]
        assert logged.data.metrics["gate/exact_match_low"] == 0.9
    assert read_json(run / "mlflow.json")["state"] == "pushed"
    assert Release.read(run / "release.json") == release


def test_pushing_twice_makes_no_second_run_or_version(world: World) -> None:
    recipe = a_recipe("twice")
    run = a_run(world.store, "run-twice", recipe=recipe)
    first = registered(run, recipe, world.store)
    newer = registered(a_run(world.store, "run-newer", recipe=recipe), recipe, world.store)
    (run / "report.html").write_text("<p>late</p>")
    again = push(run, say=lambda line: None)
    assert (again.version, again.run_id) == (first.version, first.run_id)
    assert only(world, "twice") == ["2", "1"]
    assert (newer.alias, again.alias) == ("candidate", None), "an old run's push took the alias back"
    with connected(world.tracking) as client:
        assert "report.html" in [a.path for a in client.list_artifacts(first.run_id)]
        runs = client.search_runs([client.get_run(first.run_id).info.experiment_id], "tags.run_folder = 'run-twice'")
        assert len(runs) == 1


def test_a_broken_upload_is_completed_by_the_next_push(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    recipe = a_recipe("broken")
    run = a_run(world.store, "run-broken", recipe=recipe)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", _full_disk)
        release = registered(run, recipe, world.store)
    assert release.version is None
    assert "No space left" in release.message
    assert f"glyphyard push {run}" in release.message
    assert read_json(run / "mlflow.json")["state"] == "pending"
    assert push(run, say=lambda line: None).version == "1"
    with connected(world.tracking) as client:
        run_id = read_json(run / "mlflow.json")["run_id"]
        assert len(client.get_metric_history(run_id, "main/loss")) == 2, "the second try doubled the metrics"


def _full_disk(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("outcome", ["FAIL", "INSUFFICIENT_DATA", None])
def test_only_a_pass_makes_a_version(world: World, outcome: str | None) -> None:
    recipe = a_recipe("never")
    run = a_run(world.store, f"run-{outcome}".lower(), outcome, recipe=recipe)
    release = registered(run, recipe, world.store)
    assert release.version is None
    assert release.run_id is not None
    assert only(world, "never") == []


def test_a_bundle_that_was_changed_since_is_not_registered(world: World) -> None:
    run = a_run(world.store, "run-tampered")
    (run / "bundle" / "model.onnx").write_bytes(b"something else")
    assert registered(run, a_recipe(), world.store).version is None
    with pytest.raises(BadInput, match="sha256"):
        push(run)


def test_a_pass_that_is_about_something_else_is_not_registered(world: World) -> None:
    run = a_run(world.store, "run-swapped")
    (run / "bundle" / "extra.txt").write_text("x")
    write_json(run / "bundle" / "bundle.json", {"name": "another bundle", "files": {}})
    assert "another bundle" in registered(run, a_recipe(), world.store).message
    run = a_run(world.store, "run-rewritten")
    card = Scorecard.read(run / "scorecard.json")
    write_json(run / "scorecard.json", card.to_json() | {"samples": 9000})
    assert "another scorecard" in registered(run, a_recipe(), world.store).message


def test_registration_can_be_off(tmp_path: Path) -> None:
    recipe = a_recipe(enabled=False)
    run = a_run(tmp_path, "run-off", recipe=recipe)
    assert registered(run, recipe, tmp_path).version is None
    assert not (tmp_path / "mlflow.db").exists()
    assert read_json(run / "mlflow.json")["state"] == "disabled"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"http://anna:{quote(SECRET, safe='')}@127.0.0.1:PORT", "does not answer"),
        (f"http://anna:{SECRET}@127.0.0.1:PORT?token={SECRET}", "not registered"),
        (f"nonsense://anna:{SECRET}@127.0.0.1:PORT", "not registered"),
    ],
)
def test_mlflow_down_keeps_the_run_and_says_no_password(
    tmp_path: Path, address: str, reason: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    recipe = a_recipe(tracking_uri=address.replace("PORT", str(closed_port())))
    run = a_run(tmp_path, "run-down", recipe=recipe)
    said: list[str] = []
    release = registered(run, recipe, tmp_path, said)
    assert release.version is None
    assert "glyphyard push" in release.message
    assert reason in release.message
    with pytest.raises(StepFailed) as failure:
        push(run, said.append)
    heard = capfd.readouterr()
    kept = [(run / name).read_text() for name in ("mlflow.json", "release.json")]
    everything = " ".join([*said, repr(release), repr(failure.value), heard.out, heard.err, caplog.text, *kept])
    assert "w@rd" not in everything
    assert "pa55" not in everything
    assert json.loads(kept[0])["state"] == "pending"


def test_champion_moves_forward_and_back_with_a_trace(world: World) -> None:
    recipe = a_recipe("crnn")
    for i in (1, 2, 3):
        registered(a_run(world.store, f"run-crnn-{i}", cer=0.03 / i, recipe=recipe), recipe, world.store)
    said: list[str] = []
    promote("crnn", "1", world.tracking, by="anna", why="first", say=said.append)
    promote("crnn", "candidate", world.tracking, by="ben", why="better", say=said.append)
    assert aliases_of(world, "crnn") == {"champion": "3", "previous": "1", "candidate": "3"}
    assert any("champion" in line and "3.00% [1.50%, 6.00%]" in line for line in said)
    assert any("challenger" in line and "1.00%" in line for line in said)
    assert any("CER -2.00 points" in line for line in said)
    rollback("crnn", world.tracking, by="anna", why="night reads", say=said.append)
    assert aliases_of(world, "crnn") == {"champion": "1", "previous": "3", "candidate": "3"}
    trail = [(p.action, p.by, p.from_version, p.version, p.why) for p in history(world.tracking, "crnn")]
    assert trail == [
        ("promote", "anna", None, "1", "first"),
        ("promote", "ben", "1", "3", "better"),
        ("rollback", "anna", "3", "1", "night reads"),
    ]
    runs = {v.version: v.run_id for v in models(world.tracking, "crnn")}
    last = history(world.tracking, "crnn")[-1]
    assert (last.run_id, last.from_run_id) == (runs["1"], runs["3"])
    tags = models(world.tracking, "crnn")[-1].tags
    assert tags["promotion.by"] == "anna"
    assert tags["promotion.from_version"] == "3"


def aliases_of(world: World, name: str) -> dict[str, str]:
    return {alias: v.version for v in models(world.tracking, name) for alias in v.aliases}


def test_promotion_refuses_what_did_not_pass(world: World) -> None:
    with connected(world.tracking) as client:
        client.create_registered_model("hand")
        client.create_model_version("hand", "runs:/x/y", tags={"verdict": "FAIL"})
        client.create_model_version("hand", "runs:/x/y")
    for version, reason in (("1", "FAIL"), ("2", "missing"), ("9", "no such version"), ("x", "no such version")):
        with pytest.raises(BadInput, match=reason):
            promote("hand", version, world.tracking, by="anna", why="hope")
    assert aliases_of(world, "hand") == {}
    with pytest.raises(BadInput, match="no previous champion"):
        rollback("hand", world.tracking, by="anna", why="hope")
    with pytest.raises(BadInput, match="not in the registry"):
        promote("nobody", "1", world.tracking, by="anna", why="hope")


TAMPERED: dict[str, tuple[str, bytes, str]] = {
    "a verdict that fails": ("verdict.json", b'{"outcome": "FAIL"}', "no PASS"),
    "a verdict about another scorecard": ("verdict.json", b'{"outcome": "PASS", "scorecard_sha256": "0"}', "another scorecard"),
    "another scorecard": ("scorecard.json", b'{"bundle_sha256": "0"}', "another scorecard"),
    "no JSON": ("verdict.json", b"nothing", "JSON"),
    "another model in the bundle": ("bundle/model.onnx", b"evil", "sha256 differs"),
}


@pytest.fixture(scope="module")
def twice(world: World) -> Path:
    """The artifacts of a registered version whose tags say PASS; the champion is version 1."""
    recipe = a_recipe("forged")
    registered(a_run(world.store, "run-forged-1", recipe=recipe), recipe, world.store)
    promote("forged", "1", world.tracking, by="anna", why="first", say=lambda line: None)
    registered(a_run(world.store, "run-forged-2", recipe=recipe), recipe, world.store)
    with connected(world.tracking) as client:
        source = str(client.get_model_version("forged", "2").source)
    return Path(source.removeprefix("file://").replace("%20", " ")).parent


@pytest.mark.parametrize("what", TAMPERED)
def test_tags_that_say_pass_are_not_believed_against_the_files(world: World, twice: Path, what: str) -> None:
    name, data, reason = TAMPERED[what]
    before = (twice / name).read_bytes()
    (twice / name).write_bytes(data)
    try:
        with pytest.raises(BadInput, match=reason) as caught:
            promote("forged", "2", world.tracking, by="anna", why="hope")
        assert "forged version 2" in str(caught.value)
    finally:
        (twice / name).write_bytes(before)
    assert aliases_of(world, "forged")["champion"] == "1"


def test_tags_that_say_pass_need_a_run(world: World) -> None:
    with connected(world.tracking) as client:
        client.create_registered_model("bare")
        client.create_model_version("bare", "runs:/x/y", tags={"verdict": "PASS"})
    with pytest.raises(BadInput, match="no run"):
        promote("bare", "1", world.tracking, by="anna", why="hope")


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_moves(world: World, why: str) -> None:
    with pytest.raises(BadInput, match="--why"):
        promote("reader", "1", world.tracking, by="anna", why=why)
    with pytest.raises(BadInput, match="--why"):
        rollback("reader", world.tracking, by="anna", why=why)


@pytest.mark.parametrize("option", ["by", "why"])
def test_a_trail_that_no_tag_can_hold_moves_nothing(world: World, option: str) -> None:
    words = {"by": "anna", "why": "better"} | {option: "x" * 120_000}
    for move in (lambda: promote("reader", "1", world.tracking, **words), lambda: rollback("reader", world.tracking, **words)):
        with pytest.raises(BadInput, match=f"--{option} has 120000 characters"):
            move()


@pytest.fixture
def three(world: World, request: pytest.FixtureRequest) -> str:
    """A model with versions 1, 2 and 3 that only their tags call good; 2 is champion, 1 the previous one."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    with connected(world.tracking) as client:
        client.create_registered_model(name)
        for _ in range(3):
            client.create_model_version(name, "runs:/x/y", tags={"verdict": "PASS"})
        client.set_registered_model_alias(name, "previous", "1")
        client.set_registered_model_alias(name, "champion", "2")
    return name


@pytest.fixture
def any_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["glyphyard.registry.promote"], "check_evidence", lambda client, version: None)


@pytest.mark.usefixtures("any_evidence")
@pytest.mark.parametrize("call", ["audit", "previous", "champion"])
def test_a_move_that_breaks_leaves_aliases_and_trail_as_they_were(
    world: World, three: str, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    from mlflow import MlflowClient

    names = {"audit": "set_registered_model_tag"}
    real = getattr(MlflowClient, names.get(call, "set_registered_model_alias"))
    before = aliases_of(world, three)

    def breaks(self: Any, model: str, key: str, value: str) -> None:
        if key.startswith(call) and value != "1":  # "1" puts the previous one back
            raise OSError("the line is cut")
        real(self, model, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, names.get(call, "set_registered_model_alias"), breaks)
        with pytest.raises(StepFailed):
            promote(three, "3", world.tracking, by="ben", why="better")
    assert aliases_of(world, three) == before
    assert history(world.tracking, three) == []
    promote(three, "3", world.tracking, by="ben", why="better", say=lambda line: None)
    assert aliases_of(world, three) == {"champion": "3", "previous": "2"}
    assert [(p.version, p.done) for p in history(world.tracking, three)] == [("3", True)]


@pytest.mark.usefixtures("any_evidence")
def test_a_champion_that_moved_unheard_has_its_entry(world: World, three: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    real = MlflowClient.set_registered_model_alias

    def answer_lost(self: Any, model: str, alias: str, version: str) -> None:
        real(self, model, alias, version)
        if alias == "champion":
            raise OSError("the answer is lost")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", answer_lost)
        with pytest.raises(StepFailed):
            promote(three, "3", world.tracking, by="ben", why="better")
    assert aliases_of(world, three)["champion"] == "3"
    last = history(world.tracking, three)[-1]
    assert (last.by, last.from_version, last.version, last.done) == ("ben", "2", "3", False)


def test_rollback_looks_at_the_evidence_too(world: World, three: str) -> None:
    with pytest.raises(BadInput, match="no run"):
        rollback(three, world.tracking, by="anna", why="hope")
    assert aliases_of(world, three)["champion"] == "2"
    assert history(world.tracking, three) == []


def test_a_champion_that_moves_while_one_decides_is_not_moved_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = a_recipe("race")
    for i in (1, 2, 3):
        registered(a_run(world.store, f"run-race-{i}", recipe=recipe), recipe, world.store)
    promote("race", "1", world.tracking, by="anna", why="first", say=lambda line: None)

    moved: list[Any] = []

    def someone_else(old: Any, new: Any) -> list[str]:
        moved[0].set_registered_model_alias("race", "champion", "2")
        return []

    module = sys.modules["glyphyard.registry.promote"]  # the name in the package is the function
    monkeypatch.setattr(module, "check_evidence", lambda client, version: moved.append(client))
    monkeypatch.setattr(module, "compared", someone_else)
    with pytest.raises(StepFailed, match="meanwhile"):
        promote("race", "3", world.tracking, by="ben", why="mine")
    assert aliases_of(world, "race")["champion"] == "2"
    assert len(history(world.tracking, "race")) == 1


def test_looking_creates_nothing(tmp_path: Path) -> None:
    assert models(Tracking.of(tmp_path)) == []
    with pytest.raises(BadInput, match="nothing has been registered"):
        promote("reader", "1", Tracking.of(tmp_path), by="anna", why="hope")
    assert not list(tmp_path.iterdir())


def test_a_late_report_is_added(world: World) -> None:
    run = world.store / "run-1"
    assert not attach_report(run, a_recipe(), world.store)
    (run / "report.html").write_text("<p>hello</p>")
    assert attach_report(run, a_recipe(), world.store)
    with connected(world.tracking) as client:
        assert "report.html" in [a.path for a in client.list_artifacts(world.first.run_id)]


@pytest.mark.parametrize(
    "uri",
    [
        f"http://anna:{SECRET}@host:5000/path",
        f"postgresql://anna:{SECRET}@db/mlflow",
        f"https://{SECRET}@host",
        f"https://host/api?access_token={SECRET}&x=1",
    ],
)
def test_credentials_are_never_shown(uri: str) -> None:
    tracking = Tracking.of(Path("/s"), uri)
    for text in (tracking.shown, tracking.scrub(f"failed: {uri} with {uri}")):
        assert "pa55" not in text
        assert "w@rd" not in text
        assert "host" in text or "db/mlflow" in text
