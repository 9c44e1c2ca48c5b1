"""What the agent does when nothing goes wrong, and what it remembers when something did."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes.power import copied, cut_power
from fakes.sync_cases.arrange import flip
from fakes.sync_world import World

from glyphyard.edge.engines import Unready
from glyphyard.edge.queue import DAY_S, LabelQueue
from glyphyard.edge.sync.config import Credentials
from glyphyard.edge.sync.engines import HALF_S, Engines
from glyphyard.edge.sync.metrics import Board
from glyphyard.edge.sync.shelf import Shelf
from glyphyard.edge.sync.state import ATTEMPTS
from glyphyard.edge.sync.trial import Rejected, TrialReport, TrialRequest


def test_the_device_follows_the_alias_in_both_directions(world: World) -> None:
    agent = world.agent()
    for number in (2, 1, 2, 3, 1):
        world.registry.point("champion", number)
        assert agent.poll().outcome == "updated"
        assert world.serving() == number
        assert world.service.told[-1] == world.keys[number - 1]
        assert agent.poll().outcome == "current"
    world.clean()


def test_what_serves_is_the_bundle_to_the_byte(world: World) -> None:
    world.poll()
    for path in world.bundles[1].iterdir():
        assert (world.root / "current" / path.name).read_bytes() == path.read_bytes()
    assert sorted(os.listdir(world.root / "current")) == sorted(p.name for p in world.bundles[1].iterdir())


def test_an_installed_version_is_not_downloaded_again(world: World) -> None:
    world.poll()
    world.registry.requests.clear()
    world.registry.point("champion", 1)
    assert world.poll().outcome == "updated"
    assert world.registry.downloads() == []


def test_a_poll_without_news_asks_one_question(world: World) -> None:
    world.poll()
    world.registry.requests.clear()
    tried = len(world.tried)
    world.poll()
    assert len(world.registry.requests) == 1
    assert len(world.tried) == tried


def test_a_download_goes_on_where_it_stopped(world: World) -> None:
    world.registry.faults.cut_at = 300
    assert world.poll().outcome == "unreachable"
    world.registry.faults.cut_at = None
    world.registry.requests.clear()
    assert world.poll().outcome == "updated"
    ranges = [headers.get("Range") for path, _, headers in world.registry.requests if path.endswith("get-artifact")]
    assert ranges[0] == "bytes=300-"
    assert ranges[1:] == [None, None]


def test_a_version_may_have_folders(world: World) -> None:
    version = world.registry.versions["2"]
    version.files["targets/orin.json"] = b"{}"
    sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    world.forge(2, lambda manifest: manifest["files"].update({"targets/orin.json": sha256}))
    assert world.poll().outcome == "updated"
    assert (world.root / "current" / "targets" / "orin.json").read_bytes() == b"{}"


def test_files_that_no_manifest_vouches_for_are_not_fetched(world: World) -> None:
    world.registry.versions["2"].files["run_me.sh"] = b"#!/bin/sh"
    assert world.poll().outcome == "updated"
    assert "run_me.sh" not in world.registry.downloads()
    assert not (world.root / "current" / "run_me.sh").exists()


def test_old_versions_go_and_the_one_before_stays(world: World) -> None:
    agent = world.agent(keep=2)
    for number in (2, 3):
        world.registry.point("champion", number)
        agent.poll()
    assert sorted(os.listdir(world.root / "versions")) == sorted(world.keys[1:])
    world.registry.point("champion", 2)
    world.registry.faults.status = 0
    agent.poll()
    assert world.serving() == 2
    assert sorted(os.listdir(world.root / "versions")) == sorted(world.keys[1:])


def test_an_engine_goes_with_its_version(world: World) -> None:
    def trial(request: TrialRequest) -> TrialReport:
        name = f"engine-of-{Path(request.bundle).name}"
        (Path(request.cache_dir) / name).mkdir(parents=True, exist_ok=True)
        return TrialReport(1, ["TensorRT 10.3.0"], name)

    world.trial, before = trial, world.trial  # type: ignore[method-assign]
    try:
        agent = world.agent(keep=2)
        for number in (2, 3, 1):
            world.registry.point("champion", number)
            assert agent.poll().outcome == "updated"
        kept = {f"engine-of-{key}" for key in os.listdir(world.root / "versions")}
        assert set(os.listdir(world.root / "engines")) == kept
        assert len(kept) == 2
    finally:
        world.trial = before  # type: ignore[method-assign]


@pytest.mark.parametrize("trouble", ["gone", "flipped", "TensorRT upgraded"])
def test_an_engine_that_does_not_fit_any_more_is_built_again_without_the_registry(world: World, trouble: str) -> None:
    world.engine = "orin_nx_jp62"
    assert world.poll().outcome == "updated"
    world.service.told.clear()
    world.tried.clear()
    assert (world.poll().outcome, world.tried, world.service.told) == ("current", [], [])
    serving = world.keys[1]
    old = world.engine_folder(serving)
    if trouble == "gone":
        shutil.rmtree(world.root / "engines")
    elif trouble == "flipped":
        flip(old / "engine.plan")
    else:
        world.tensorrt = "10.7.0"
    world.registry.faults.status = 500
    assert world.poll().outcome == "unreachable"
    assert world.tried == world.service.told == [serving]
    assert world.whole_engine(serving)
    world.poll()
    assert world.tried == world.service.told == [serving], "it was built once more"
    assert world.keys[1] in world.state()["good"]
    assert world.state()["attempts"] == {}
    assert old.exists() == (trouble != "TensorRT upgraded"), "an engine that nobody can load stays"


def test_an_engine_that_cannot_be_built_again_is_a_failure_and_blames_no_version(world: World) -> None:
    world.engine = "orin_nx_jp62"
    world.poll()
    world.tensorrt = "11.4.0"
    world.rejects.add("*")
    for count in range(1, ATTEMPTS + 3):
        state = world.poll()
        assert (state.outcome, state.failures) == ("failed", count)
        assert "reads otherwise" in state.message
    assert (world.serving(), state.quarantine) == (2, {})
    world.rejects.clear()
    world.rejects.add(world.keys[1])  # the next version may be the one that runs on the new TensorRT
    world.registry.point("champion", 3)
    assert world.poll().outcome == "updated"
    world.clean()


def test_an_engine_whose_build_takes_the_device_down_is_given_up_until_it_is_forgiven(world: World) -> None:
    world.engine = "orin_nx_jp62"
    world.poll()
    shutil.rmtree(world.root / "engines")
    whole = world.build_engine

    def deadly(key: str, verdict: str | None = None) -> str:
        os.kill(os.getpid(), 9)
        raise AssertionError

    world.build_engine = deadly  # type: ignore[method-assign]
    try:
        for _ in range(ATTEMPTS):
            assert cut_power(world.poll, world.root, 10**9, "kill")
        for _ in range(2):
            assert not cut_power(world.poll, world.root, 10**9, "kill")
    finally:
        world.build_engine = whole  # type: ignore[method-assign]
    assert (world.state()["outcome"], world.serving()) == ("failed", 2)
    assert "died" in world.state()["message"]
    assert world.agent().forgive("2")
    assert world.poll().outcome == "current"
    world.clean()


def test_engines_that_nobody_reads_with_go(world: World) -> None:
    world.engine = "orin_nx_jp62"
    world.poll()
    rejected = world.keys[2]
    world.registry.point("champion", 3)

    def canary(request: TrialRequest) -> TrialReport:
        report = trial(request)
        if rejected in request.bundle and not request.look:
            raise Rejected("canary", "reads too much otherwise")
        return report

    trial, world.trial = world.trial, canary  # type: ignore[method-assign]
    try:
        assert world.poll().outcome == "refused"
        assert world.whole_engine(rejected), "nothing was built, so nothing can stay"
        assert world.poll().outcome == "quarantined"
    finally:
        world.trial = trial  # type: ignore[method-assign]
    assert set(os.listdir(world.root / "engines")) == {world.whole_engine(key) for key in world.keys[:2]}


def test_engines_that_somebody_may_read_with_stay(world: World) -> None:
    world.engine = "orin_nx_jp62"
    for number in (1, 2):
        world.registry.point("champion", number)
        world.poll()
    world.registry.point("champion", 3)
    copied(world.bundles[2], world.root / "versions" / world.keys[2])
    judged = world.root / "engines" / world.build_engine(world.keys[2], "PASS")  # in advance, as INT8 asks for
    shutil.rmtree(world.root / "versions" / world.keys[2])
    (world.root / "engines" / "onnxruntime").mkdir()
    (world.root / "engines" / "timing-10.3.0-orin.cache").write_bytes(b"")
    (world.root / "engines" / ".0123456789abcdef.somebody-builds.tmp").mkdir()
    (world.root / "state.json").unlink()
    world.registry.faults.status = 500
    world.poll()
    assert all(world.whole_engine(key) for key in world.keys[:2])
    assert judged.exists()
    left = set(os.listdir(world.root / "engines"))
    assert {"onnxruntime", "timing-10.3.0-orin.cache", ".0123456789abcdef.somebody-builds.tmp"} <= left


def test_what_a_power_cut_left_of_a_build_goes_after_a_day(world: World) -> None:
    agent, clock = world.agent(), iter((0.0, HALF_S, HALF_S + 1))
    engines = Engines(agent.shelf, agent.state, world.trial, print, lambda: next(clock))
    half = engines.folder / ".0123456789abcdef.cut.tmp"
    half.mkdir(parents=True)
    for there in (True, True, False):
        engines.sweep()
        assert half.exists() == there


@pytest.mark.parametrize(("baseline", "serves"), [("empty", None), ("one", 1)])
def test_a_device_that_is_not_ready_condemns_no_version(world: World, baseline: str, serves: int | None) -> None:
    world.fresh(baseline)
    world.registry.point("champion", 2)
    ready: list[bool] = []

    def trial(request: TrialRequest) -> TrialReport:
        if not ready:
            raise Unready("trial", "the INT8 engine has to pass a suite before it is used")
        return TrialReport(1)

    agent = world.agent()
    agent._trial = trial
    for _ in range(ATTEMPTS + 2):
        state = agent.poll()
        assert (state.outcome, state.quarantine) == ("failed", {})
        assert "INT8" in state.message
        assert world.serving() == serves
    ready.append(True)
    assert agent.poll().outcome == "updated"
    assert world.serving() == 2


def test_a_bad_version_waits_in_quarantine_until_it_is_forgiven(world: World) -> None:
    world.service.sick.add(world.keys[1])
    assert world.poll().outcome == "unhealthy"
    world.registry.requests.clear()
    told = len(world.service.told)
    for _ in range(4):
        state = world.poll()
        assert state.outcome == "quarantined"
        assert "not healthy" in state.message
        assert state.failures == 0
    assert world.registry.downloads() == []
    assert len(world.service.told) == told
    world.service.sick.clear()
    assert world.poll().outcome == "quarantined"
    assert world.agent().forgive("2")
    assert not world.agent().forgive("2")
    assert world.poll().outcome == "updated"


def test_another_content_under_a_bad_number_gets_its_own_chance(world: World) -> None:
    world.service.sick.add(world.keys[1])
    world.poll()
    world.forge(2, lambda manifest: manifest["provenance"].update(mended="yes"))
    assert world.poll().outcome == "updated"


def test_a_model_that_takes_the_device_down_is_given_up(world: World) -> None:
    class Deadly:
        def tell(self, bundle: Path, key: str, sha256: str) -> None:
            (world.folder / "told").write_text(key)
            if key == world.keys[1]:
                os.kill(os.getpid(), 9)

        def wait_until_healthy(self, key: str, sha256: str) -> None:
            return None

    world.service, before = Deadly(), world.service  # type: ignore[assignment]
    try:
        deaths = 0
        while cut_power(world.poll, world.root, 10**9, "kill"):
            deaths += 1
            assert deaths <= ATTEMPTS
        assert deaths == ATTEMPTS
    finally:
        world.service = before
    assert world.serving() == 1
    assert world.keys[1] in world.state()["quarantine"]
    assert (world.folder / "told").read_text() == world.keys[0], "the service still has the deadly model"


def test_a_model_whose_trial_takes_the_device_down_is_given_up(world: World) -> None:
    def deadly(request: TrialRequest) -> TrialReport:
        os.kill(os.getpid(), 9)
        raise AssertionError

    world.trial, before = deadly, world.trial  # type: ignore[method-assign]
    try:
        deaths = 0
        while cut_power(world.poll, world.root, 10**9, "kill"):
            deaths += 1
            assert deaths <= ATTEMPTS
        assert deaths == ATTEMPTS
    finally:
        world.trial = before  # type: ignore[method-assign]
    assert world.serving() == 1
    assert "died" in world.state()["quarantine"][world.keys[1]]


def test_networks_that_fail_do_not_count_against_a_version(world: World) -> None:
    seen = 0

    def before(path: str, query: dict[str, str]) -> None:
        nonlocal seen
        seen += path.endswith("alias")
        world.registry.faults.status = 500 if seen % 2 == 0 and path.endswith("alias") else 0

    world.poll(alias="champion")  # installs 2
    world.registry.point("champion", 1)
    world.registry.before = before  # the last look before the swap fails, again and again
    for _ in range(ATTEMPTS + 2):
        assert world.poll().outcome == "unreachable"
    assert world.state()["quarantine"] == {}
    world.registry.before = lambda path, query: None
    world.registry.faults.status = 0
    assert world.poll().outcome == "updated"
    assert world.serving() == 1


def test_a_swap_is_confirmed_after_a_power_cut(world: World) -> None:
    world.poll()
    state = world.state()
    state["swap"] = {"new": world.keys[1], "old": world.keys[0]}
    (world.root / "state.json").write_text(json.dumps(state))
    world.service.told.clear()
    world.service.sick.add(world.keys[1])
    world.poll()
    assert world.service.told == world.keys[1::-1], "the service was not asked again after the power cut"
    assert world.serving() == 1


def test_the_request_carries_credentials_and_nothing_else_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "camera")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pa55w0rd")
    header = Credentials("camera", "pa55w0rd").header
    world.registry._login = ("camera", "pa55w0rd")
    try:
        assert world.poll().outcome == "updated"
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "an0ther")
        world.registry.point("champion", 3)
        assert world.poll().outcome == "unreachable"
    finally:
        world.registry._login = None
    assert {headers.get("Authorization") for _, _, headers in world.registry.requests} >= {header}
    written = " ".join([*world.said, *(p.read_text(errors="replace") for p in world.root.rglob("*") if p.is_file())])
    assert "pa55w0rd" not in written
    assert "an0ther" not in written
    assert str(header).split()[1] not in written


def test_a_limit_of_the_device_is_held_against_no_version(world: World) -> None:
    for _ in range(ATTEMPTS + 1):
        assert world.poll(max_bundle_mib=0.001).outcome == "failed"
    assert world.state()["quarantine"] == {}
    assert world.poll().outcome == "updated"


def test_what_serves_and_is_damaged_is_told_with_the_registry_down(world: World) -> None:
    world.registry.faults.status = 500
    board = Board()
    board.show(world.poll())
    assert "glyphyard_sync_serving{" in board.as_metrics()
    model = world.root / "current" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    state = world.poll()
    board.show(state)
    assert state.outcome == "unreachable"
    assert f"{world.keys[0]}, which serves, is damaged" in state.message
    assert 'glyphyard_sync_in_sync{model="reader",alias="champion"} 0' in board.as_metrics()
    assert state.serving is None


def test_a_new_process_says_again_what_the_last_one_said(world: World) -> None:
    world.registry.faults.status = 500
    for _ in range(2):
        world.said.clear()
        world.poll()  # an agent of its own
        assert any("unreachable" in line for line in world.said)


def test_a_queue_that_cannot_be_kept_is_told(world: World) -> None:
    world.poll(queue={"folder": "/proc/no/queue"})
    assert any(line.startswith("queue: /proc/no/queue") for line in world.said)


def test_a_bug_in_the_agent_is_an_outcome_of_one_line(world: World) -> None:
    def buggy(request: TrialRequest) -> TrialReport:
        raise LookupError("nobody thought\nof this \ud800")

    world.trial, before = buggy, world.trial  # type: ignore[method-assign]
    try:
        for _ in range(ATTEMPTS + 1):
            state = world.poll()
            assert (state.outcome, world.serving(), state.quarantine) == ("failed", 1, {})
            assert state.message.startswith("LookupError: nobody thought of this")
        assert world.state()["message"] == state.message
    finally:
        world.trial = before  # type: ignore[method-assign]
    assert world.poll().outcome == "updated"


def test_a_poll_removes_crops_that_are_too_old(world: World, tmp_path: Path) -> None:
    world.registry.faults.status = 500
    queue = LabelQueue(tmp_path / "queue")
    queue.add(np.zeros((8, 8), np.uint8), {}, "unsure")
    (item,) = queue.items()
    caps = {"folder": str(queue.folder), "max_age_days": 7}
    world.poll(queue=caps)
    assert queue.items() == [item]
    old = item.to_json() | {"seen_s": item.seen_s - 8 * DAY_S}
    (queue.folder / item.image).with_suffix(".json").write_text(json.dumps(old))
    world.poll(queue=caps)
    assert [p.name for p in queue.folder.iterdir()] == [".lock"]
    assert world.poll(queue={"folder": "/proc/no/queue"}).outcome == "unreachable"


def test_a_proxy_in_the_environment_is_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert world.poll().outcome == "updated"


def test_a_swap_that_is_finished_after_a_power_cut_leaves_no_more_versions_than_are_kept(world: World) -> None:
    world.poll(keep=3)
    world.registry.point("champion", 3)
    world.poll(keep=3)
    state = world.state()
    state["swap"] = {"new": state["good"][-1], "old": state["good"][-2]}
    (world.root / "state.json").write_text(json.dumps(state))
    before = Shelf(world.root).keys()
    world.registry.faults.status = 500  # nobody names a version, so that this is all that the poll does
    assert world.poll(keep=2).outcome == "unreachable"
    assert len(before) > 2
    assert len(Shelf(world.root).keys()) == 2


def test_what_was_damaged_and_is_mended_is_not_told_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.registry.point("champion", 1)
    agent = world.agent()
    agent.poll()
    model = world.root / "current" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    world.registry.faults.status = 500
    assert "is damaged" in agent.poll().message
    world.registry.faults.status = 0
    assert agent.poll().outcome == "updated"

    def full(_: Shelf) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Shelf, "prepare", full)
    state = agent.poll()
    assert "damaged" not in state.message
    assert state.serving == world.keys[0]
