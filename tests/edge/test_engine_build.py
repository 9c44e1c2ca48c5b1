"""Engines are built, replayed, judged, timed and kept; whatever does not read as the golden vectors say is not.

TensorRT is a stand-in here (tests/fakes), which runs the ONNX for real; tools/verify_on_jetson.sh does the same on a device.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import drawn, edit_manifest, rehash
from plans import add_plan

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.files import sha256_file, write_json
from glyphyard.core.targets import TARGETS
from glyphyard.edge import Bundle, Recognizer, open_engine
from glyphyard.edge.engine_build import build
from glyphyard.edge.engines import KEPT, Judged, Unready, engine_key, provider_options
from glyphyard.edge.plan import describe_plan, plan_for, plan_name
from glyphyard.edge.trtexec import build_command

Device = Callable[..., None]
DEVICES = {
    "orin_nx_jp62": {"version": "10.3.0", "sm": 87, "machine": "aarch64"},
    "xavier_nx_jp51": {"version": "8.5.2", "sm": 72, "machine": "aarch64", "gpu": "Xavier"},
    "x86_trt11": {"version": "11.4.0", "sm": 89, "machine": "x86_64", "gpu": "NVIDIA L4"},
}


PLAN = describe_plan(TARGETS["orin_nx_jp62"], ("input", [1, 32, 128]), "output")


def quiet(line: str) -> None:
    pass


@pytest.fixture
def bundle(soft_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(soft_bundle, tmp_path / "bundle"))


@pytest.mark.parametrize(("target", "python"), [*((target, True) for target in DEVICES), ("x86_trt11", False)])
def test_an_engine_is_built_replayed_timed_and_found_again(
    bundle: Path, tmp_path: Path, fake_tensorrt: Device, target: str, python: bool
) -> None:
    fake_tensorrt(python=python, **DEVICES[target])
    profile = (1, 4, 8) if python else (1, 2, 3)  # trtexec is a process a batch
    add_plan(bundle, target, precision="fp32", batch=profile)
    said: list[str] = []
    record = build(bundle, target, tmp_path / "cache", said.append)
    assert record.replay["batches"] == sorted({1, 2, 3, *profile})
    assert record.replay["strings"] >= (5 * 7 if python else 3 + 6 + 9)
    assert record.replay["max_abs_difference"] < 1e-3
    assert [row["batch"] for row in record.speed] == list(profile)
    assert all(0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in record.speed)
    assert (record.builder, record.tensorrt) == ("python" if python else "trtexec", DEVICES[target]["version"])
    kept = tmp_path / "cache" / record.key
    assert sha256_file(kept / "engine.plan") == record.engine_sha256
    assert list((tmp_path / "cache").glob("timing-*.cache"))
    before = (kept / "engine.plan").stat().st_mtime_ns
    assert build(bundle, target, tmp_path / "cache", said.append) == record
    assert (kept / "engine.plan").stat().st_mtime_ns == before
    assert "before" in said[-1]


def test_the_engine_reads_crops_as_the_bundle_does(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", precision="fp16", batch=(2, 4, 8))
    build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    session = open_engine(bundle, "orin_nx_jp62", cache_dir=tmp_path / "cache")
    texts = [f"{c}{i % 10}Z" for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ")]
    on_engine = Recognizer(bundle, session=session)
    assert on_engine.providers == ["TensorRT 10.3.0"]
    assert [r.text for r in on_engine.read_many(map(drawn, texts))] == texts  # above the profile's 8
    assert on_engine.read(drawn("K7")).text == "K7"  # below its 2
    with ThreadPoolExecutor(8) as pool:
        assert [r.text for r in pool.map(on_engine.read, map(drawn, texts * 4))] == texts * 4


def test_half_precision_is_asked_for_in_the_versions_own_way(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3), keep_fp32=["/LogSoftmax_6"])
    record = build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    header = engine_header(tmp_path / "cache" / record.key)
    assert {"FP16", "OBEY_PRECISION_CONSTRAINTS"} <= set(header["flags"])
    assert 1e-6 < record.replay["max_abs_difference"] < 0.1  # it was half precision, and near enough
    assert header["workspace"] == 1024 << 20


def engine_header(folder: Path) -> dict[str, object]:
    data = (folder / "engine.plan").read_bytes()
    return dict(json.loads(data[8 : 8 + int.from_bytes(data[4:8], "little")]))


def test_full_precision_is_not_tensor_float(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", precision="fp32", batch=(1, 2, 3), dla=None)
    record = build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    assert engine_header(tmp_path / "cache" / record.key)["flags"] == []


def test_an_accelerator_gets_the_gpu_beside_it(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(4, 4, 4), dla=1)
    header = engine_header(tmp_path / "cache" / build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet).key)
    assert header["dla"] == 1
    assert "GPU_FALLBACK" in header["flags"]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_a_batch_that_comes_out_wrong_is_found(
    bundle: Path, tmp_path: Path, fake_tensorrt: Device, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 4, 8))
    monkeypatch.setenv("FAKE_TENSORRT_WRONG_BATCH", str(size))
    if size == 1:
        assert build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)  # one crop cannot be rotated
        return
    with pytest.raises(StepFailed, match=f"batch {size}, golden crop"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    assert not list((tmp_path / "cache").glob("*/engine.plan"))


def test_numbers_beyond_tolerance_are_found_where_the_strings_still_hold(
    bundle: Path, tmp_path: Path, fake_tensorrt: Device
) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3), tolerance=1e-7)
    with pytest.raises(StepFailed, match="differs by"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)


def test_an_engine_that_cannot_be_built_says_tensorrts_words(
    bundle: Path, tmp_path: Path, fake_tensorrt: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT_NO_MEMORY", "1")
    for python in (True, False):
        fake_tensorrt(python=python)
        with pytest.raises(StepFailed, match="Could not find any implementation"):
            build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)


@pytest.mark.parametrize("python", [True, False], ids=["python", "trtexec"])
def test_a_graph_that_the_parser_refuses_is_named(bundle: Path, tmp_path: Path, fake_tensorrt: Device, python: bool) -> None:
    import onnx

    fake_tensorrt(python=python, **DEVICES["xavier_nx_jp51"])
    model = onnx.load(bundle / "model.onnx")
    model.opset_import[0].version = 18
    add_plan(bundle, "xavier_nx_jp51", model.SerializeToString(), precision="fp32")
    with pytest.raises(StepFailed, match="opset above 17"):
        build(bundle, "xavier_nx_jp51", tmp_path / "cache", quiet)


@pytest.mark.parametrize(
    ("device", "complaint"),
    [
        ({"machine": "x86_64"}, "aarch64"),
        ({"sm": 72}, "sm 87"),
        ({"version": "8.5.2"}, "10.3"),
        ({"version": "11.4.0"}, "10.3"),
    ],
    ids=["another machine", "another GPU", "an older TensorRT", "a newer TensorRT"],
)
def test_a_device_that_is_not_the_target_is_refused(
    bundle: Path, tmp_path: Path, fake_tensorrt: Device, device: dict[str, object], complaint: str
) -> None:
    fake_tensorrt(**device)
    with pytest.raises(BadInput, match=complaint):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)


def test_another_minor_version_is_said_and_used(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt(version="10.7.0")
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3))
    said: list[str] = []
    assert build(bundle, "orin_nx_jp62", tmp_path / "cache", said.append).tensorrt == "10.7.0"
    assert any("10.7.0" in line and "10.3" in line for line in said)


def test_a_machine_without_tensorrt_says_where_it_comes_from(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("GLYPHYARD_TRTEXEC", raising=False)
    with pytest.raises(BadInput, match="JetPack"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    monkeypatch.setenv("GLYPHYARD_TRTEXEC", str(tmp_path / "none"))
    with pytest.raises(BadInput, match="cannot be started"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)


def test_an_engine_is_another_for_each_thing_its_bytes_depend_on(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    from glyphyard.edge.device import this_device

    def key(folder: Path = bundle, **device: object) -> str:
        fake_tensorrt(**device)
        opened = Bundle.open(folder)
        return engine_key(opened, plan_for(opened, "orin_nx_jp62"), this_device())

    keys = [key(), key(version="10.7.0"), key(gpu="Orin NX"), key(sm=72), key(python=False)]
    for number, changes in enumerate(
        ({"precision": "fp32"}, {"batch": (1, 2, 64)}, {"workspace_mb": 7}, {"dla": 0, "batch": (4, 4, 4)}, {"keep_fp32": ["x"]})
    ):
        other = Path(shutil.copytree(bundle, tmp_path / f"other-{number}"))
        add_plan(other, "orin_nx_jp62", **changes)
        keys.append(key(other))
    changed = Path(shutil.copytree(bundle, tmp_path / "weights"))
    (changed / "model.onnx").write_bytes((changed / "model.onnx").read_bytes() + b"\x72\x00")
    rehash(changed)
    assert len({*keys, key(changed)}) == len(keys) + 1
    again = Path(shutil.copytree(bundle, tmp_path / "same"))
    edit_manifest(again, name="renamed")
    assert key(again) == keys[0]


def test_a_kept_engine_that_was_altered_is_built_again(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3))
    record = build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    engine = tmp_path / "cache" / record.key / "engine.plan"
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(BadInput, match="engine build"):
        open_engine(bundle, "orin_nx_jp62", cache_dir=tmp_path / "cache")
    build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    assert sha256_file(engine) == record.engine_sha256


def test_a_kept_engine_that_no_longer_reads_right_is_thrown_away(
    bundle: Path, tmp_path: Path, fake_tensorrt: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3))
    record = build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    monkeypatch.setenv("FAKE_TENSORRT_WRONG_BATCH", "2")
    with pytest.raises(StepFailed, match="batch 2"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    assert not (tmp_path / "cache" / record.key).exists()


def test_int8_needs_a_pass_once(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", precision="int8", batch=(1, 2, 3))
    judged: list[object] = []

    def judge(outcome: str) -> Callable[[object], Judged]:
        return lambda session: judged.append(session) or Judged(outcome, "plates", {"exact_match": 0.9})  # type: ignore[func-returns-value]

    said: list[str] = []
    with pytest.raises(Unready, match="--suite"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", said.append)
    assert said == [], "minutes went into an engine that could not be kept"
    for outcome in ("FAIL", "INSUFFICIENT_DATA"):
        with pytest.raises(StepFailed, match=outcome):
            build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet, judge=judge(outcome))
        assert not list((tmp_path / "cache").glob("*/engine.plan"))
    record = build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet, judge=judge("PASS"))
    assert (record.verdict, record.suite, record.figures) == ("PASS", "plates", {"exact_match": 0.9})
    assert build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet) == record  # the agent, without a held-out set
    assert len(judged) == 3


def test_a_full_disk_leaves_nothing(bundle: Path, tmp_path: Path, fake_tensorrt: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3))

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("glyphyard.edge.engine_build.write_json", full)
    with pytest.raises(BadInput, match="No space left"):
        build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    assert not [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]


def test_a_closed_session_gives_the_devices_memory_back(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3))
    build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    import tensorrt

    assert tensorrt.fake_driver.allocated() == 0
    session = open_engine(bundle, "orin_nx_jp62", cache_dir=tmp_path / "cache")
    assert tensorrt.fake_driver.allocated() > 0
    session.close()  # type: ignore[attr-defined]
    assert tensorrt.fake_driver.allocated() == 0


def test_a_bundle_without_plans_gets_the_tables(soft_bundle: Path) -> None:
    plan = plan_for(Bundle.open(soft_bundle), "orin_nano_jp62")
    assert (plan.precision, tuple(plan.batch), plan.workspace_mb) == ("fp16", (1, 8, 64), 512)
    with pytest.raises(BadInput, match="export"):
        plan_for(Bundle.open(soft_bundle), "x86_trt11")  # fp16 there is another graph
    with pytest.raises(BadInput, match="did you mean orin_nx_jp62"):
        plan_for(Bundle.open(soft_bundle), "orin_nx_jp6")


BAD_PLANS: dict[str, dict[str, object]] = {
    "another target": {"target": "thor_jp7"},
    "an unknown precision": {"precision": "fp4"},
    "a graph that is not there": {"onnx": "other.onnx"},
    "a graph outside": {"onnx": "../model.onnx"},
    "another input": {"shape": [3, 32, 128]},
    "a profile out of order": {"batch": [4, 2, 8]},
    "a batch of nothing": {"batch": [0, 2, 8]},
    "an accelerator that is not there": {"dla": 5, "batch": [4, 4, 4]},
    "an accelerator for any batch": {"dla": 0},
    "no tolerance": {"tolerance": 0.0},
    "a newer version": {"schema_version": 2},
    "a stranger": {"surprise": 1},
}


@pytest.mark.parametrize("what", BAD_PLANS)
def test_a_plan_that_does_not_fit_is_refused(bundle: Path, what: str) -> None:
    add_plan(bundle, "orin_nx_jp62")
    path = bundle / plan_name("orin_nx_jp62")
    write_json(path, json.loads(path.read_text()) | BAD_PLANS[what])
    rehash(bundle)
    with pytest.raises(BadInput, match=r"orin_nx_jp62\.json"):
        plan_for(Bundle.open(bundle), "orin_nx_jp62")


def test_a_plan_is_hashed_like_any_file(bundle: Path) -> None:
    add_plan(bundle, "orin_nx_jp62")
    path = bundle / plan_name("orin_nx_jp62")
    path.write_text(path.read_text().replace("fp16", "fp32"))
    with pytest.raises(BadInput, match="SHA-256"):
        Bundle.open(bundle)


def test_every_target_is_whole() -> None:
    assert set(TARGETS) >= {"orin_nx_jp62", "orin_nano_jp62", "agx_orin_jp62", "xavier_nx_jp51", "thor_jp7", "x86_trt11"}
    for target in TARGETS.values():
        low, best, high = target.batch
        assert 1 <= low <= best <= high
        assert target.tensorrt.precision_by in ("flags", "graph")
        assert target.tensorrt.refused_operators
        assert (
            (target.tensorrt.precision_by == "graph") == (target.tensorrt.major >= 11) == bool(target.lost(frozenset({"fp16"})))
        )


@pytest.mark.parametrize("target", TARGETS)
def test_trtexec_is_asked_only_for_what_its_version_has(bundle: Path, fake_tensorrt: Device, target: str) -> None:
    rules = TARGETS[target].tensorrt
    fake_tensorrt(version=f"{rules.series}.0")
    known = importlib.import_module("trtexec").BY_MAJOR[rules.major]
    for precision, dla in (("fp32", None), ("fp16", None), ("int8", 1)):
        plan = replace(PLAN, target=target, precision=precision, dla=dla, keep_fp32=["/head"])
        options = build_command(plan, rules, Path("m.onnx"), Path("e.plan"), Path("t.cache"))
        assert {option.removeprefix("--").partition("=")[0] for option in options} <= known
        assert ("--fp16" in options) == (precision != "fp32" and rules.precision_by == "flags")
        assert "--minShapes=input:1x1x32x128" in options
        assert ("--layerPrecisions=/head:fp32" in options) == ("--fp16" in options)


def test_an_engine_wants_crops_of_its_size(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    fake_tensorrt()
    add_plan(bundle, "orin_nx_jp62", batch=(1, 2, 3))
    build(bundle, "orin_nx_jp62", tmp_path / "cache", quiet)
    session = open_engine(bundle, "orin_nx_jp62", cache_dir=tmp_path / "cache")
    with pytest.raises(BadInput, match="expected crops"):
        session.run(np.zeros((1, 1, 16, 128), np.float32))


PROVIDER = ("TensorrtExecutionProvider", "CPUExecutionProvider")


def test_onnxruntimes_engines_of_another_model_lie_elsewhere(bundle: Path, tmp_path: Path, fake_tensorrt: Device) -> None:
    """ONNX Runtime names an engine after the graph without its weights: in one folder the old ones would run."""

    def folder(of: Path = bundle, **changes: object) -> str:
        opened, plan = Bundle.open(of), replace(PLAN, **changes)  # type: ignore[arg-type]
        first, second = provider_options(opened, plan, PROVIDER, tmp_path / "cache")
        assert second == {}
        assert Path(first["trt_engine_cache_path"]).is_dir()
        return str(first["trt_engine_cache_path"])

    fake_tensorrt()
    changed = Path(shutil.copytree(bundle, tmp_path / "weights"))
    (changed / "model.onnx").write_bytes((changed / "model.onnx").read_bytes() + b"\x72\x00")
    rehash(changed)
    folders = [folder(), folder(changed), folder(precision="fp32"), folder(batch=[1, 2, 3]), folder(workspace_mb=7)]
    fake_tensorrt(version="10.7.0")
    folders.append(folder())
    assert len(set(folders)) == len(folders)
    fake_tensorrt()
    assert folder() == folders[0], "the second start builds again"
    for size in range(2, KEPT + 2):
        kept = folder(batch=[1, 1, size])
    there = [p for p in Path(kept).parent.iterdir() if p.is_dir()]
    assert len(there) == KEPT
    assert Path(kept) in there


def test_onnxruntime_has_no_int8_of_ours(bundle: Path, tmp_path: Path) -> None:
    for precision, half in (("fp32", False), ("fp16", True), ("int8", True)):
        plan = replace(PLAN, precision=precision)
        assert provider_options(Bundle.open(bundle), plan, PROVIDER, tmp_path)[0]["trt_fp16_enable"] is half
