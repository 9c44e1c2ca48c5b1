"""A device and a registry in one process: bundles, an agent whose trial and service are fakes, and what must hold after a fault."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.power import copied
from fakes.registry_server import FakeRegistry, Faults
from handmade import striped_onnx, write_bundle

from glyphyard.core.files import fingerprint, sha256_bytes
from glyphyard.edge.bundle import Bundle
from glyphyard.edge.engines import ENGINE, RECORD, RECORD_VERSION, EngineRecord, cached_engine
from glyphyard.edge.sync import registry as registry_module
from glyphyard.edge.sync.agent import Agent
from glyphyard.edge.sync.config import SyncConfig
from glyphyard.edge.sync.service import Unhealthy
from glyphyard.edge.sync.state import SyncState
from glyphyard.edge.sync.trial import Rejected, TrialReport, TrialRequest

TEXTS = (("AB12CD", "99XYZ", ""), ("HYUL84", "K7", "Q"), ("ZZ99", "A", "B1"))


class FakeService:
    """Takes whatever `current` says; sick with the keys in `sick`, deaf where `deaf`."""

    def __init__(self) -> None:
        self.sick, self.deaf, self.told = set[str](), False, list[str]()

    def tell(self, bundle: Path, key: str, sha256: str) -> None:
        """Be told."""
        self.told.append(key)
        if self.deaf:
            raise Unhealthy("service", "cannot be told")

    def wait_until_healthy(self, key: str, sha256: str) -> None:
        """Be well, or not."""
        if key in self.sick or "*" in self.sick:
            raise Unhealthy("service", f"not healthy with {key}")


class World:
    """Three versions in a registry and a device that starts empty, or on version 1 or 2."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.folder, self.registry, self.root = folder, registry, folder / "device"
        registry_module.BLOCK = 700  # handmade bundles are small; more blocks, more places to die
        self.bundles = [write_bundle(folder / f"bundle{i}", striped_onnx(2 + i / 4), texts=TEXTS[i]) for i in range(3)]
        self.publish()
        self.service, self.rejects, self.tried = FakeService(), set[str](), list[str]()
        self.said: list[str] = []
        self.engine: str | None = None  # the target that the device reads with; None: ONNX Runtime
        self.tensorrt = "10.3.0"
        self._baselines: dict[str, Path] = {}

    def publish(self) -> None:
        """Publish the three versions as they are."""
        self.keys = [self.registry.publish(i + 1, bundle) for i, bundle in enumerate(self.bundles)]

    def fresh(self, baseline: str) -> None:
        """Start anew: `empty`, `one` (serves version 1) or `two` (serves 2, had 1); the registry is well again."""
        self.registry.faults, self.registry.before = Faults(), lambda path, query: None
        self.publish()
        self.service, self.rejects = FakeService(), set()
        self.engine, self.tensorrt = None, "10.3.0"
        if baseline not in self._baselines:
            self._baselines[baseline] = self._make(baseline)
        copied(self._baselines[baseline], self.root)
        self.registry.requests.clear()
        self.service.told.clear()
        self.tried.clear()
        self.said.clear()

    def _make(self, baseline: str) -> Path:
        copied(self.folder / "bundle0", self.root)
        for path in self.root.iterdir():
            path.unlink()
        for number in {"empty": (), "one": (1,), "two": (1, 2)}[baseline]:
            self.registry.point("champion", number)
            state = self.agent().poll()
            assert (state.outcome, state.serving) == ("updated", self.keys[number - 1]), state
        return copied(self.root, self.folder / f"baseline-{baseline}")

    def config(self, **changes: Any) -> SyncConfig:
        """Return a configuration for this device."""
        registry = {"url": self.registry.url, "timeout_s": 2.0} | changes.pop("registry", {})
        value = {"registry": registry, "model": "reader", "root": str(self.root), "metrics": {"port": 0}, "keep": 2}
        value |= {"trial": {"engine": self.engine}} | changes
        return SyncConfig.from_json(value, "config").checked("config")

    def agent(self, **changes: Any) -> Agent:
        """Return a new agent, as after a restart."""
        return Agent(self.config(**changes), service=self.service, trial=self.trial, say=self.said.append)  # type: ignore[arg-type]

    def poll(self, **changes: Any) -> SyncState:
        """Poll with a new agent."""
        return self.agent(**changes).poll()

    def trial(self, request: TrialRequest) -> TrialReport:
        """Look at the golden crops, without a runtime; build an engine of no use where one is asked for."""
        key = Path(request.bundle).name
        if request.look:
            return TrialReport(0, engine=self.whole_engine(key))
        self.tried.append(key)
        if key in self.rejects or "*" in self.rejects:
            raise Rejected("trial", f"{key} reads otherwise here")
        engine = self.build_engine(key) if request.config.engine else None
        return TrialReport(len(Bundle.open(request.bundle).golden().texts), ["fake"], engine)

    def engine_folder(self, key: str) -> Path:
        """Return where a version's engine is on this device as it is now."""
        return self.root / "engines" / fingerprint([key, self.tensorrt])

    def whole_engine(self, key: str) -> str | None:
        """Return the name of a version's engine for this device as it is now, None where there is none that is whole."""
        folder = self.engine_folder(key)
        return folder.name if cached_engine(folder) else None

    def build_engine(self, key: str, verdict: str | None = None) -> str:
        """Keep an engine as `glyphyard.edge.engine_build` does, unless it is there."""
        folder, data = self.engine_folder(key), f"{key} {self.tensorrt}".encode()
        if not self.whole_engine(key):
            folder.mkdir(parents=True, exist_ok=True)
            bundle = sha256_bytes((self.root / "versions" / key / "bundle.json").read_bytes())
            of = (RECORD_VERSION, folder.name, "orin_nx_jp62", sha256_bytes(data), len(data), "?", bundle, self.tensorrt, "Orin")
            EngineRecord(*of, "fp16", [1, 2, 3], None, "fake", 0.0, {}, [], verdict).write(folder / RECORD)
            (folder / ENGINE).write_bytes(data)
        return folder.name

    def serving(self) -> int | None:
        """Return the number of the version that serves, None for none; one that is not whole and ours raises."""
        link = self.root / "current"
        if not os.path.lexists(link):
            return None
        assert link.is_symlink(), "current is no link"
        folder = link.resolve(strict=True)  # followed once: an agent at work may turn the link at any moment
        bundle = Bundle.open(folder)
        bundle.golden()
        key = folder.name
        assert key in self.keys, f"{key} was never published"
        assert bundle.sha256.startswith(key.partition("-")[2])
        return self.keys.index(key) + 1

    def clean(self) -> None:
        """Hold that nothing half made is left, and that what serves has the engine that it reads with, if any."""
        left = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.name.startswith(".new-")]
        assert not left, f"left behind: {left}"
        if self.engine and self.serving():
            assert self.whole_engine((self.root / "current").resolve().name), "what serves has no engine for this device"

    def state(self) -> dict[str, Any]:
        """Return the state file."""
        value: dict[str, Any] = json.loads((self.root / "state.json").read_text())
        return value

    def forge(self, number: int, edit: Callable[[dict[str, Any]], None], extra: dict[str, bytes] | None = None) -> None:
        """Publish a version whose bundle.json was edited by someone who can set its tag, too."""
        version = self.registry.versions[str(number)]
        manifest = json.loads(version.files["bundle.json"])
        edit(manifest)
        version.files = version.files | (extra or {})
        self.replace_manifest(number, json.dumps(manifest).encode())

    def replace_manifest(self, number: int, data: bytes) -> None:
        """Publish a version whose bundle.json is `data`, with its tag."""
        version = self.registry.versions[str(number)]
        version.files = version.files | {"bundle.json": data}
        version.tags["bundle_sha256"] = sha256_bytes(data)
        self.keys[number - 1] = f"{number}-{version.tags['bundle_sha256'][:16]}"
