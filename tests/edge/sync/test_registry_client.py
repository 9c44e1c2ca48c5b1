"""Names from a registry, and the one host that credentials go to."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.sync_world import World
from hypothesis import given
from hypothesis import strategies as st

from glyphyard.edge.sync.config import Credentials
from glyphyard.edge.sync.registry import Refused, Registry, RemoteFile, Unreachable, safe_name

PARTS = st.sampled_from(["a", "b.onnx", "..", ".", "", "/", "\\", "c:", "\0", "%2e%2e", "…", "x" * 250, " ", "~", "\n", "\ud800"])


@given(st.lists(PARTS, max_size=5).map("/".join))
def test_a_safe_name_stays_inside(name: str) -> None:
    if safe_name(name):
        assert not os.path.isabs(name)
        assert os.path.normpath(f"/inside/{name}") == f"/inside/{name}"
        assert "\\" not in name
        assert "\0" not in name
        assert os.fsencode(name)


def test_ordinary_names_are_safe() -> None:
    for name in ("model.onnx", "targets/orin_nx_jp62.json", "a/b/c.d", "Kennzeichen-Ü.bin"):
        assert safe_name(name)


def a_registry(world: World) -> Registry:
    return Registry(world.config().registry, Credentials("camera", "pa55"))


def test_a_redirect_is_not_followed_with_credentials(world: World) -> None:
    world.registry.faults.redirect = f"{world.registry.url}/elsewhere"
    with pytest.raises(Unreachable, match="302"):
        a_registry(world).resolve("reader", "champion")
    assert [path for path, _, _ in world.registry.requests] == ["/api/2.0/mlflow/registered-models/alias"]


def test_a_download_stops_at_the_stated_size(world: World, tmp_path: Path) -> None:
    registry = a_registry(world)
    version = registry.resolve("reader", "champion")
    size = len(world.registry.versions["2"].files["model.onnx"])
    world.registry.faults.longer = "model.onnx"
    with pytest.raises(Refused, match="more than"):
        registry.fetch(version, RemoteFile("model.onnx", size), tmp_path / "part")
    assert (tmp_path / "part").stat().st_size == 0


def test_a_link_in_place_of_a_part_is_not_written_through(world: World, tmp_path: Path) -> None:
    registry = a_registry(world)
    version = registry.resolve("reader", "champion")
    (tmp_path / "precious").write_text("as it was")
    (tmp_path / "part").symlink_to(tmp_path / "precious")
    from glyphyard.edge.sync.disk import DiskFailed

    with pytest.raises(DiskFailed):
        registry.fetch(version, RemoteFile("model.onnx", 100), tmp_path / "part")
    assert (tmp_path / "precious").read_text() == "as it was"


def test_a_prefix_of_the_address_is_kept(world: World) -> None:
    config = world.config(registry={"url": f"{world.registry.url}/behind/a/proxy/"}).registry
    with pytest.raises(Unreachable, match="404"):
        Registry(config, Credentials()).resolve("reader", "champion")
    assert world.registry.requests[-1][0] == "/behind/a/proxy/api/2.0/mlflow/registered-models/alias"


@pytest.fixture
def tls(world: World, tmp_path: Path) -> Iterator[Path]:
    """Put the registry behind TLS with a certificate of its own, and return that certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server, plain = world.registry._server, world.registry._server.socket
    server.socket = context.wrap_socket(plain.dup(), server_side=True)
    try:
        yield certificate
    finally:
        server.socket.close()
        server.socket = plain


def test_a_certificate_is_checked(world: World, tls: Path) -> None:
    url = world.registry.url.replace("http:", "https:")
    known = Registry(world.config(registry={"url": url, "ca_file": str(tls), "timeout_s": 5.0}).registry, Credentials())
    assert known.resolve("reader", "champion").number == "2"
    asked = len(world.registry.requests)
    stranger = Registry(world.config(registry={"url": url, "timeout_s": 5.0}).registry, Credentials("camera", "pa55"))
    with pytest.raises(Unreachable, match=r"(?i)certificate"):
        stranger.resolve("reader", "champion")
    assert len(world.registry.requests) == asked, "credentials went to a stranger"
    missing = Registry(world.config(registry={"url": url, "ca_file": "/no/such/file"}).registry, Credentials())
    with pytest.raises((Unreachable, OSError)):
        missing.resolve("reader", "champion")
