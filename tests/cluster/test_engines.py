"""An engine is built on a worker that offers its target, with what is there; what fails there is read here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_device import fake_tensorrt  # noqa: F401  (a fixture)
from handmade import write_bundle
from plans import add_plan

from glyphyard.cluster.engines import _build_here, _cause, build_on_worker
from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.core.targets import Target
from glyphyard.edge.manifest import MANIFEST

FAKES = Path(__file__).parents[1] / "fakes"
ANY_NODE = "node:__internal_head__"  # a resource that every Ray head has


def quiet(line: str) -> None:
    pass


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = write_bundle(tmp_path / "bundle")
    add_plan(folder, "orin_nx_jp62", precision="fp32", batch=(1, 2, 3))
    return folder


@pytest.mark.ray
def test_no_worker_with_the_target_is_said_before_anything_is_sent(ray_session: None, bundle: Path) -> None:
    with pytest.raises(BadInput, match=r"orin_nx_jp62.*--resources"):
        build_on_worker(bundle, "orin_nx_jp62", say=quiet)


@pytest.mark.ray
def test_a_worker_builds_and_its_complaints_arrive(
    ray_session: None, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "resource", ANY_NODE)
    there = {"PYTHONPATH": str(FAKES), "FAKE_TENSORRT_MACHINE": "aarch64"}
    record = build_on_worker(bundle, "orin_nx_jp62", tmp_path / "cache", quiet, environment=there)
    assert (tmp_path / "cache" / record.key / "engine.plan").is_file()
    assert record.replay["batches"] == [1, 2, 3]
    wrong = there | {"FAKE_TENSORRT_WRONG_BATCH": "2"}
    with pytest.raises(StepFailed, match="batch 2"):
        build_on_worker(bundle, "orin_nx_jp62", tmp_path / "other", quiet, environment=wrong)


def test_the_bundle_arrives_as_bytes(
    bundle: Path,
    tmp_path: Path,
    fake_tensorrt: Callable[..., None],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_tensorrt()
    names = [MANIFEST, *(str(p.relative_to(bundle)) for p in bundle.rglob("*") if p.is_file() and p.name != MANIFEST)]
    record, said = _build_here({name: (bundle / name).read_bytes() for name in names}, "orin_nx_jp62", str(tmp_path / "cache"))
    assert record["target"] == "orin_nx_jp62"
    assert said
    assert not capsys.readouterr().out
    assert "tensorrt" in sys.modules


def test_what_failed_on_a_worker_is_raised_as_it_was_there() -> None:
    class Wrapped(Exception):
        cause = StepFailed("engine replay, batch 2", "reads 'A'", "try another precision")

    found = _cause(Wrapped(), "orin_nx_jp62")
    assert type(found) is StepFailed
    assert str(found) == str(Wrapped.cause)
    assert "lost" in str(_cause(RuntimeError("the node was lost"), "orin_nx_jp62"))
