"""The trial for real: a child process with ONNX Runtime, golden crops, a canary, and children that die."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes.sync_cases.arrange import flip
from fakes.sync_world import TEXTS
from handmade import drawn, png, rehash, striped_onnx, write_bundle
from plans import add_plan

from glyphyard.core.errors import BadInput
from glyphyard.edge.engine_build import build
from glyphyard.edge.engines import Judged, Unready
from glyphyard.edge.queue import LabelQueue
from glyphyard.edge.recognizer import Recognizer
from glyphyard.edge.session import NoRuntime
from glyphyard.edge.sync import trial as trial_module
from glyphyard.edge.sync.config import QueueConfig, TrialConfig
from glyphyard.edge.sync.trial import Rejected, TrialReport, TrialRequest, perform, recent_crops, try_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("trial") / "bundle", texts=TEXTS[0])


def reversed_bundle(folder: Path) -> Path:
    """Return a bundle that is whole and reads all letters otherwise: its alphabet is the other way round."""
    from glyphyard.core.alphabet import Alphabet

    return write_bundle(folder, alphabet=Alphabet("0123456789ZYXWVUTSRQPONMLKJIHGFEDCBA"))


def asked(
    bundle: Path, tmp_path: Path, serving: Path | None = None, queue: QueueConfig | None = None, **config: object
) -> TrialRequest:
    return TrialRequest(str(bundle), str(serving) if serving else None, str(tmp_path), TrialConfig(**config), queue)  # type: ignore[arg-type]


def test_a_whole_bundle_passes_in_a_process_of_its_own(bundle: Path, tmp_path: Path) -> None:
    assert try_bundle(asked(bundle, tmp_path)) == TrialReport(3, ["CPUExecutionProvider"])


def test_golden_strings_that_do_not_hold_here_reject_it(bundle: Path, tmp_path: Path) -> None:
    bad = write_bundle(tmp_path / "bad")
    with np.load(bad / "golden.npz") as old:
        arrays = dict(old)
    arrays["texts"] = np.array(["AB12CD", "WRONG", ""])
    np.savez_compressed(bad / "golden.npz", **arrays)
    rehash(bad)
    with pytest.raises(Rejected, match="WRONG"):
        try_bundle(asked(bad, tmp_path))


def test_a_model_that_is_none_rejects_it(tmp_path: Path) -> None:
    bad = write_bundle(tmp_path / "bad")
    (bad / "model.onnx").write_bytes(striped_onnx()[:200])
    rehash(bad)
    with pytest.raises(Rejected, match="cannot load"):
        try_bundle(asked(bad, tmp_path))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -SEGV $$", "SIGSEGV"),
        ("kill -KILL $$", "SIGKILL"),
        ("sleep 30", "not over"),
        ("echo nonsense", "no sense"),
        ('echo \'{"golden": "many"}\'', "no sense"),
        ("true", "no reason"),
        ("echo first >&2; echo last words >&2; exit 2", "last words"),
    ],
)
def test_a_child_that_dies_harms_nobody(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/bash\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(trial_module.sys, "executable", str(fake))
    with pytest.raises(Rejected, match=reason):
        try_bundle(asked(bundle, tmp_path, timeout_s=1.0 if "sleep" in script else 60.0))


def crops(folder: Path, texts: list[str]) -> Path:
    folder.mkdir()
    for i, text in enumerate(texts):
        (folder / f"{i}.png").write_bytes(png(drawn(text)))
        os.utime(folder / f"{i}.png", (1_700_000_000 + i, 1_700_000_000 + i))
    return folder


def test_a_canary_that_disagrees_too_often_rejects_it(bundle: Path, tmp_path: Path) -> None:
    folder = crops(tmp_path / "crops", ["12", "34", "56", "A1", "B2"])
    (folder / "half.jpg").write_bytes(b"\xff\xd8 being written")
    (folder / "notes.txt").write_text("no crop")
    other, queue = reversed_bundle(tmp_path / "other"), QueueConfig(str(tmp_path / "queue"), below=0.0)
    report = perform(asked(other, tmp_path, bundle, queue, canary=str(folder), max_disagreement=0.4))
    assert (report.canary, report.disagreements) == (5, 2)
    items = LabelQueue(tmp_path / "queue").items()
    assert [(i.reason, i.reads["champion"].text, i.reads["challenger"].text) for i in items] == [
        ("disagreement", "B2", "Y2"),
        ("disagreement", "A1", "Z1"),
    ]
    with pytest.raises(BadInput, match="2 of 5"):
        perform(asked(other, tmp_path, bundle, queue, canary=str(folder), max_disagreement=0.39))
    assert len(LabelQueue(tmp_path / "queue").items()) == 2, "the same crops were queued twice"
    assert perform(asked(other, tmp_path, None, canary=str(folder), max_disagreement=0)).canary == 5


def test_reads_that_a_canary_is_not_sure_of_are_queued(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle", striped_onnx(sharpness=5.0))
    blurred = drawn("C3")
    blurred[:, :4] -= 2  # a third of the way to the next grey
    folder = crops(tmp_path / "crops", ["A1", "B2"])
    (folder / "doubt.png").write_bytes(png(blurred))
    sure = read_confidences(bundle, folder)
    assert sure["doubt.png"][1] < 0.9 < min(sure["0.png"][1], sure["1.png"][1]), sure
    for serving in (None, bundle):  # the first model of a device has nothing to differ from
        queue = QueueConfig(str(tmp_path / f"queue-{serving is None}"))
        report = perform(asked(bundle, tmp_path, serving, queue, canary=str(folder)))
        assert (report.canary, report.disagreements) == (3, 0)
        (item,) = LabelQueue(Path(queue.folder)).items()
        assert item.reason == "unsure"
        assert {role: (read.text, read.confidence) for role, read in item.reads.items()} == {"champion": sure["doubt.png"]}
        assert (Path(queue.folder) / item.image).read_bytes() == png(blurred)
    lax = QueueConfig(str(tmp_path / "lax"), below=sure["doubt.png"][1])
    perform(asked(bundle, tmp_path, bundle, lax, canary=str(folder)))
    assert not (tmp_path / "lax").exists()


def read_confidences(bundle: Path, folder: Path) -> dict[str, tuple[str, float]]:
    """Return what the bundle reads on each crop, and how sure it is."""
    readings = {path.name: Recognizer(bundle).read(path) for path in folder.iterdir()}
    return {name: (reading.text, reading.confidence) for name, reading in readings.items()}


def test_the_newest_crops_are_taken(tmp_path: Path) -> None:
    folder = crops(tmp_path / "crops", ["A1"] * 12)
    (folder / "link.png").symlink_to(folder / "0.png")
    config = TrialConfig(canary=str(folder), canary_crops=3)
    assert [p.name for p in recent_crops(config)] == ["11.png", "10.png", "9.png"]
    assert recent_crops(TrialConfig(canary=str(tmp_path / "nothing"))) == []
    assert recent_crops(TrialConfig()) == []


def test_a_devices_engine_is_built_then_picked(soft_bundle: Path, tmp_path: Path, fake_tensorrt: Callable[..., None]) -> None:
    fake_tensorrt(version="10.3.0", sm=87, machine="aarch64")
    whole = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    add_plan(whole, "orin_nx_jp62", precision="fp32", batch=(1, 2, 3))
    folder = crops(tmp_path / "crops", ["A1", "B2"])
    cache = tmp_path / "engines"
    request = TrialRequest(str(whole), str(whole), str(cache), TrialConfig(engine="orin_nx_jp62", canary=str(folder)))
    report = perform(request)
    assert report.runtime[0].startswith("TensorRT 10.3")
    assert (report.canary, report.disagreements) == (2, 0)
    assert [p.name for p in cache.iterdir() if (p / "engine.plan").is_file()] == [report.engine]
    before = (cache / str(report.engine) / "engine.plan").stat().st_mtime_ns
    assert perform(request).engine == report.engine
    assert (cache / str(report.engine) / "engine.plan").stat().st_mtime_ns == before, "the engine was built again"


def test_a_look_finds_the_whole_engine_of_this_device_and_builds_none(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Callable[..., None]
) -> None:
    fake_tensorrt(version="10.3.0")
    whole = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    add_plan(whole, "orin_nx_jp62", precision="fp32", batch=(1, 2, 3))
    request = asked(whole, tmp_path / "engines", engine="orin_nx_jp62")
    look = replace(request, look=True)
    assert perform(look) == TrialReport(0)
    assert not (tmp_path / "engines").exists()
    built = perform(request).engine
    assert perform(look).engine == built
    fake_tensorrt(version="10.7.0")
    assert perform(look).engine is None, "an engine of another TensorRT"
    fake_tensorrt(version="10.3.0")
    flip(tmp_path / "engines" / str(built) / "engine.plan")
    assert perform(look).engine is None
    assert perform(request).engine == perform(look).engine == built


def test_a_device_that_is_not_the_target_refuses(soft_bundle: Path, tmp_path: Path, fake_tensorrt: Callable[..., None]) -> None:
    fake_tensorrt(version="8.5.2", sm=72, machine="aarch64", gpu="Xavier")
    for target in ("orin_nx_jp62", "orin"):
        with pytest.raises(Unready):
            perform(asked(soft_bundle, tmp_path, engine=target))


def test_an_engine_that_nobody_here_could_read_with_is_not_built(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Callable[..., None]
) -> None:
    fake_tensorrt(version="8.5.2", sm=72, machine="aarch64", gpu="Xavier", python=False)
    whole = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    add_plan(whole, "xavier_nx_jp51", precision="fp32", batch=(1, 2, 3))
    with pytest.raises(Unready, match=r"trial\.engine"):
        perform(TrialRequest(str(whole), None, str(tmp_path / "engines"), TrialConfig(engine="xavier_nx_jp51")))
    assert not (tmp_path / "engines").exists()


def test_an_int8_engine_that_was_judged_here_is_picked(
    soft_bundle: Path, tmp_path: Path, fake_tensorrt: Callable[..., None]
) -> None:
    fake_tensorrt()
    whole = Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))
    add_plan(whole, "orin_nx_jp62", precision="int8", batch=(1, 2, 3))
    cache = tmp_path / "engines"
    request = TrialRequest(str(whole), None, str(cache), TrialConfig(engine="orin_nx_jp62"))
    with pytest.raises(Unready, match=f"--cache {cache}"):
        perform(request)
    assert not list(cache.glob("*/engine.plan"))
    record = build(whole, "orin_nx_jp62", cache, lambda line: None, judge=lambda session: Judged("PASS", "plates"))
    assert perform(request).engine == record.key


def test_a_device_that_is_not_ready_is_no_fault_of_the_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("GLYPHYARD_TRTEXEC", raising=False)
    with pytest.raises(Unready):  # this machine is no Orin
        try_bundle(asked(bundle, tmp_path, engine="orin_nx_jp62"))


@pytest.mark.parametrize("provider", ["TensorrtExecutionProvider", "NoSuchExecutionProvider"])
def test_a_provider_that_does_not_work_here_is_no_fault_of_the_bundle(bundle: Path, tmp_path: Path, provider: str) -> None:
    with pytest.raises(Unready, match="provider"):
        try_bundle(asked(bundle, tmp_path, providers=[provider, "CPUExecutionProvider"]))


def test_a_provider_that_works_with_the_model_in_use_puts_the_blame_on_the_new_one(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, opened = trial_module._reader, []

    def opens(folder: Path, request: TrialRequest) -> object:
        opened.append(folder)
        if len(opened) == 1:
            raise NoRuntime("providers", "does not work here")
        return before(folder, request)

    monkeypatch.setattr(trial_module, "_reader", opens)
    with pytest.raises(BadInput, match="does not work") as caught:
        perform(asked(bundle, tmp_path, bundle))
    assert not isinstance(caught.value, NoRuntime)
    assert len(opened) == 2


def test_without_onnxruntime_the_device_is_at_fault(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('none here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(Unready, match="onnxruntime"):
        try_bundle(asked(bundle, tmp_path))


def test_secrets_stay_out_of_the_child(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pa55")
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/bash\nenv > {tmp_path}/env\nexit 2\n")
    fake.chmod(0o755)
    monkeypatch.setattr(trial_module.sys, "executable", str(fake))
    with pytest.raises(Rejected):
        try_bundle(asked(bundle, tmp_path))
    assert "pa55" not in (tmp_path / "env").read_text()


def test_a_request_survives_its_way(bundle: Path, tmp_path: Path) -> None:
    request = asked(bundle, tmp_path, bundle, QueueConfig("/q"), canary="/c")
    assert TrialRequest.from_json(json.loads(json.dumps(request.to_json())), "x") == request
