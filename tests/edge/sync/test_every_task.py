"""Bundles of other tasks on their way through the agent, with the real trial: super-resolution, which nests a bundle, and characters."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from fakes.registry_server import FakeRegistry
from fakes.sync_cases.arrange import flip
from fakes.sync_world import FakeService
from handmade import drawn, png, write_bundle

from glyphyard.core.files import sha256_bytes
from glyphyard.edge.catalogue import verify_bundle
from glyphyard.edge.sync.agent import Agent
from glyphyard.edge.sync.config import SyncConfig
from glyphyard.edge.sync.state import ATTEMPTS, SyncState


@dataclass
class Device:
    """An agent's folder beside a registry; nothing is faked but the service that is told."""

    root: Path
    registry: FakeRegistry
    service: FakeService = field(default_factory=FakeService)
    said: list[str] = field(default_factory=list)

    def poll(self, **trial: object) -> SyncState:
        """Poll with a new agent, as after a restart."""
        value = {"registry": {"url": self.registry.url}, "model": "reader", "root": str(self.root), "trial": trial}
        return Agent(SyncConfig.from_json(value, "config"), service=self.service, say=self.said.append).poll()  # type: ignore[arg-type]

    def follow(self, number: int, folder: Path, **trial: object) -> tuple[str, SyncState]:
        """Publish a folder as a version that the alias names, and poll; return its key and the state."""
        key = self.registry.publish(number, folder)
        self.registry.point("champion", number)
        return key, self.poll(**trial)

    def serving(self) -> str:
        """Return the key that serves; a bundle that is not whole raises."""
        folder = (self.root / "current").resolve(strict=True)
        verify_bundle(folder)
        return folder.name


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with FakeRegistry() as registry:
        yield Device(tmp_path / "device", registry)


@pytest.fixture
def second(restorer_bundle: Path, tmp_path: Path) -> Path:
    """Another version of the bundle, whole."""
    folder = Path(shutil.copytree(restorer_bundle, tmp_path / "second"))
    edit(folder, lambda described: described["provenance"].update(again="yes"))
    return folder


def edit(folder: Path, change: Callable[[dict[str, dict[str, str]]], object]) -> None:
    path = folder / "bundle.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))


def forge(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and name its hash in bundle.json, as someone who may publish could."""
    (folder / name).write_bytes(data)
    edit(folder, lambda described: described["files"].update({name: sha256_bytes(data)}))


def edited(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """Return a golden.npz with one of its arrays changed."""
    with np.load(path) as old:
        arrays = dict(old)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays | {name: change(arrays[name])})
    return buffer.getvalue()


def edit_a_golden_pair(folder: Path) -> None:
    forge(folder, "golden.npz", edited(folder / "golden.npz", "large", lambda large: large ^ 64))


def edit_a_golden_crop_of_the_recogniser(folder: Path) -> None:
    nested = folder / "recogniser"
    forge(nested, "golden.npz", edited(nested / "golden.npz", "texts", lambda texts: np.full_like(texts, "WRONG")))
    for name in ("golden.npz", "bundle.json"):
        forge(folder, f"recogniser/{name}", (nested / name).read_bytes())


def test_a_super_resolution_bundle_is_installed_serves_and_is_left_again(
    device: Device, restorer_bundle: Path, second: Path, tmp_path: Path
) -> None:
    first, state = device.follow(1, restorer_bundle)
    assert (state.outcome, device.serving()) == ("updated", first), state.message
    for path in (path for path in restorer_bundle.rglob("*") if path.is_file()):
        assert (device.root / "current" / path.relative_to(restorer_bundle)).read_bytes() == path.read_bytes()
    assert device.poll().outcome == "current", "the device was restarted"
    other, state = device.follow(2, second)
    assert (state.outcome, device.serving()) == ("updated", other)
    # A block of the nested recogniser goes bad: it gives way to the version before, and comes anew where there is a registry.
    flip(device.root / "current" / "recogniser" / "model.onnx")
    device.registry.faults.status = 500
    assert (device.poll().outcome, device.serving()) == ("unreachable", first)
    device.registry.faults.status = 0
    assert (device.poll().outcome, device.serving()) == ("updated", other)
    # From one task to another and back is a swap like any other.
    reader, state = device.follow(3, write_bundle(tmp_path / "reader"))
    assert (state.outcome, device.serving()) == ("updated", reader)
    device.registry.point("champion", 2)
    assert (device.poll().outcome, device.serving()) == ("updated", other)


def test_a_service_that_is_sick_with_it_goes_back(device: Device, restorer_bundle: Path, second: Path) -> None:
    first, _ = device.follow(1, restorer_bundle)
    device.service.sick.add(f"2-{sha256_bytes((second / 'bundle.json').read_bytes())[:16]}")
    bad, state = device.follow(2, second)
    assert (state.outcome, device.serving(), list(state.quarantine)) == ("unhealthy", first, [bad])


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "an edited golden pair": (edit_a_golden_pair, "grey levels"),
    "an edited golden crop of the recogniser": (edit_a_golden_crop_of_the_recogniser, "recogniser/golden.npz"),
    "a nested file that only the outer manifest knows": (
        lambda folder: forge(folder, "recogniser/golden.npz", (folder / "golden.npz").read_bytes()),
        "recogniser/golden.npz",
    ),
    "a nested file that nobody names": (
        lambda folder: edit(folder, lambda described: described["files"].pop("recogniser/model.onnx")),
        "recogniser/model.onnx",
    ),
    "no recogniser": (
        lambda folder: edit(folder, lambda described: described["files"].pop("recogniser/bundle.json")),
        "recogniser/bundle.json",
    ),
    "another scale": (lambda folder: edit(folder, lambda described: described.update(scale=4)), "scale"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_version_is_refused_for_good_and_the_first_one_serves(
    device: Device, restorer_bundle: Path, second: Path, what: str
) -> None:
    first, _ = device.follow(1, restorer_bundle)
    damage, told = BREAKS[what]
    damage(second)
    bad, state = device.follow(2, second)
    assert (state.outcome, device.serving()) == ("refused", first), state.message
    assert told in state.quarantine[bad]
    assert device.poll().outcome == "quarantined"


def test_a_nested_file_that_is_altered_on_its_way_never_serves(device: Device, restorer_bundle: Path, second: Path) -> None:
    first, _ = device.follow(1, restorer_bundle)
    flip(second / "recogniser" / "model.onnx")  # bundle.json still says what it should be
    for _ in range(ATTEMPTS):
        bad, state = device.follow(2, second)
        assert (state.outcome, device.serving()) == ("refused", first)
    assert "recogniser/model.onnx" in state.quarantine[bad]
    assert os.listdir(device.root / "versions") == [first]


def test_an_engine_is_no_matter_of_a_super_resolution_bundle(device: Device, restorer_bundle: Path) -> None:
    for _ in range(ATTEMPTS + 1):
        _, state = device.follow(1, restorer_bundle, engine="orin_nx_jp62")
        assert (state.outcome, state.quarantine) == ("failed", {}), "the configuration is at fault"
        assert "trial.engine" in state.message
    assert device.poll().outcome == "updated"
    assert "trial.engine" in device.poll(engine="orin_nx_jp62").message, "it serves already"


def test_a_canary_is_read_with_both(device: Device, restorer_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    for i, text in enumerate(("A1", "B2")):
        (tmp_path / "crops" / f"{i}.png").write_bytes(png(drawn(text)))
    reader, _ = device.follow(1, write_bundle(tmp_path / "reader"))
    _, state = device.follow(2, restorer_bundle, canary=str(tmp_path / "crops"))
    assert (state.outcome, device.serving()) == ("refused", reader)
    assert "2 of 2" in state.message, "nobody trained it, so it reads other texts"


def test_a_bundle_that_finds_characters_is_installed(device: Device) -> None:
    pytest.importorskip("torch")
    from outlining import bundle

    key, state = device.follow(1, bundle())
    assert (state.outcome, device.serving()) == ("updated", key), state.message


def test_a_detector_reads_nothing_and_is_refused(device: Device, tmp_path: Path) -> None:
    pytest.importorskip("pydantic")  # what makes its bundle needs a recipe
    from dark_pages import write_finder

    key, state = device.follow(1, write_finder(tmp_path / "finder"))
    assert state.outcome == "refused"
    assert "detection" in state.quarantine[key]
