"""A device that is not there: NVIDIA's Python module, its trtexec and the driver as fakes, one version at a time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from handmade import striped_onnx, write_bundle

FAKES = Path(__file__).parent / "fakes"


@pytest.fixture
def fake_tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return a function that turns this machine into a device: `device(version=…, gpu=…, sm=…, machine=…, python=…)`.

    `python=False`: the device has trtexec only. Called again it is another device. Nothing of it is left after the test.
    """
    trtexec = tmp_path / "bin" / "trtexec"
    trtexec.parent.mkdir()
    trtexec.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKES / "trtexec.py"}" "$@"\n')
    trtexec.chmod(0o755)

    def device(version: str = "10.3.0", gpu: str = "Orin", sm: int = 87, machine: str = "aarch64", python: bool = True) -> None:
        _forget()
        monkeypatch.setenv("FAKE_TENSORRT_VERSION", version)
        monkeypatch.setenv("FAKE_CUDA_NAME", gpu)
        monkeypatch.setenv("FAKE_CUDA_SM", str(sm))
        monkeypatch.setattr("platform.machine", lambda: machine)
        monkeypatch.setattr("glyphyard.edge.trtexec.ON_A_JETSON", tmp_path / "nowhere")
        if python:
            if str(FAKES) not in sys.path:  # by hand: syspath_prepend would also take back what libraries added meanwhile
                sys.path.insert(0, str(FAKES))
            importlib.invalidate_caches()
            monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
            monkeypatch.delenv("GLYPHYARD_TRTEXEC", raising=False)
        else:
            monkeypatch.setitem(sys.modules, "tensorrt", None)
            monkeypatch.setenv("GLYPHYARD_TRTEXEC", str(trtexec))

    yield device
    _forget()
    if str(FAKES) in sys.path:
        sys.path.remove(str(FAKES))


def _forget() -> None:
    driver = sys.modules.get("tensorrt.fake_driver")
    if driver is not None:
        driver.uninstall()
    for name in ("tensorrt", "tensorrt.fake_driver", "trtexec"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def soft_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose log-probabilities half precision can hold, with named nodes as an exporter writes them."""
    import onnx

    model = onnx.load_from_string(striped_onnx(sharpness=0.5))
    for i, node in enumerate(model.graph.node):
        node.name = f"/{node.op_type}_{i}"
    texts = [f"{a}{b}{i % 10}X" for i, (a, b) in enumerate(zip("ABCDEFG", "0123456"))]
    return write_bundle(tmp_path_factory.mktemp("bundles") / "soft", model.SerializeToString(), texts=texts)
