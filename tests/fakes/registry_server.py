"""A registry that speaks the four paths of MLflow's REST API that the sync agent uses, as the real server answers them,
and misbehaves on demand. `tests/registry/test_server.py` holds the answers against a real `mlflow server`."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from glyphyard.core.files import sha256_bytes

ROOT = "mlflow-artifacts:/1"


@dataclass
class Published:
    """One version: its files and tags, both free to be tampered with."""

    files: dict[str, bytes]
    tags: dict[str, str]
    listed: dict[str, int] = field(default_factory=dict)  # other sizes or names than the true ones


@dataclass
class Faults:
    """What goes wrong; everything off by default."""

    status: int = 0  # every answer has this status
    status_times: int = -1  # so many times; -1: for ever
    silence_s: float = 0.0  # before an answer
    drop: bool = False  # close without an answer
    garbage: bytes | None = None  # in place of each JSON answer
    cut_at: int | None = None  # downloads end after so many bytes
    cut_times: int = -1
    flip: str | None = None  # one byte of this file is another
    flip_times: int = -1
    replace: dict[str, bytes] = field(default_factory=dict)  # other bytes for a file
    longer: str | None = None  # this file has more bytes than stated (chunked, so that nobody is warned)
    no_range: bool = False
    wrong_range: bool = False
    trickle_s: float = 0.0  # between the bytes of a download
    redirect: str | None = None


class FakeRegistry:
    """Start with `with FakeRegistry() as registry`; publish versions, move aliases, set `faults`."""

    def __init__(self, model: str = "reader", user: str | None = None, password: str | None = None) -> None:
        self.model, self.versions, self.aliases, self.faults = model, dict[str, Published](), dict[str, str](), Faults()
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.before: Callable[[str, dict[str, str]], None] = lambda path, query: None
        self._login = (user, password) if user else None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeRegistry:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, number: int, folder: Path, **tags: str) -> str:
        """Publish a bundle's folder as a version and return the key that the agent gives it."""
        files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        sha256 = sha256_bytes(files["bundle.json"])
        self.versions[str(number)] = Published(files, {"bundle_sha256": sha256, "verdict": "PASS"} | tags)
        return f"{number}-{sha256[:16]}"

    def point(self, alias: str, number: int) -> None:
        """Move an alias."""
        self.aliases[alias] = str(number)

    def downloads(self) -> list[str]:
        """Return the files that were asked for, in order."""
        return [query["path"] for path, query, _ in self.requests if path.endswith("/get-artifact")]

    def allowed(self, header: str | None) -> bool:
        if self._login is None:
            return True
        try:
            return b64decode((header or "").removeprefix("Basic ")).decode() == ":".join(map(str, self._login))
        except ValueError:
            return False

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return status and JSON (or a file's bytes) as MLflow 3.17 does."""
        if path == "/api/2.0/mlflow/registered-models/alias":
            number = self.aliases.get(query.get("alias", ""))
            if query.get("name") != self.model:
                return 404, _error("RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={query.get('name')} not found")
            if number is None:
                return 400, _error("INVALID_PARAMETER_VALUE", f"Registered model alias {query.get('alias')} not found.")
            tags = [{"key": k, "value": v} for k, v in self.versions[number].tags.items()]
            entry = {
                "name": self.model,
                "version": number,
                "creation_timestamp": 1795000000000,
                "last_updated_timestamp": 1795000000000,
                "current_stage": "None",
                "description": "",
                "source": f"{ROOT}/run{number}/artifacts/bundle",
                "run_id": f"run{number}",
                "status": "READY",
                "run_link": "",
                "tags": tags,
                "aliases": [a for a, n in self.aliases.items() if n == number],
            }
            return 200, {"model_version": entry}
        if path == "/api/2.0/mlflow/artifacts/list":
            return self._list(query)
        if path == "/model-versions/get-artifact":
            version = self.versions.get(query.get("version", ""))
            found = version.files.get(query.get("path", "")) if version else None
            return (200, found) if found is not None else (404, _error("RESOURCE_DOES_NOT_EXIST", "No such artifact"))
        return 404, _error("ENDPOINT_NOT_FOUND", path)

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        number = query.get("run_id", "").removeprefix("run")
        if number not in self.versions:
            return 404, _error("RESOURCE_DOES_NOT_EXIST", f"Run with id={query.get('run_id')} not found")
        version, under = self.versions[number], query.get("path", "")
        sizes = {f"bundle/{name}": len(data) for name, data in version.files.items()} | {"verdict.json": 7}
        sizes |= {f"bundle/{name}": size for name, size in version.listed.items()}
        found: dict[str, dict[str, Any]] = {}
        for name, size in sizes.items():
            if under and not name.startswith(f"{under}/"):
                continue
            first, _, rest = name.removeprefix(f"{under}/" if under else "").partition("/")
            at = f"{under}/{first}" if under else first
            hostile = first in ("", "..")  # as a server would list it that does not clean its names
            if hostile or not rest:
                found[name] = {"path": name, "is_dir": False, "file_size": size}
            else:
                found[at] = {"path": at, "is_dir": True}
        answer: dict[str, Any] = {"root_uri": f"{ROOT}/run{number}/artifacts"}
        return 200, answer | ({"files": list(found.values())} if found else {})


def _error(code: str, message: str) -> dict[str, str]:
    return {"error_code": code, "message": message}


def _handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            registry.requests.append((parts.path, query, dict(self.headers)))
            registry.before(parts.path, query)
            faults = registry.faults
            if faults.silence_s:
                time.sleep(faults.silence_s)
            if faults.drop:
                self.close_connection = True
                return
            if faults.redirect:
                self._send(302, b"", {"Location": faults.redirect})
                return
            if faults.status and faults.status_times:
                faults.status_times -= 1
                self._send(faults.status, json.dumps(_error("INTERNAL_ERROR", "boom")).encode())
                return
            if not registry.allowed(self.headers.get("Authorization")):
                self._send(401, b"You are not authenticated.", {"WWW-Authenticate": 'Basic realm="mlflow"'})
                return
            status, value = registry.answer(parts.path, query)
            if isinstance(value, bytes):
                self._file(query["path"], value)
            elif faults.garbage is not None:
                self._send(200, faults.garbage)
            else:
                self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _file(self, name: str, data: bytes) -> None:
            faults = registry.faults
            data = faults.replace.get(name, data)
            if faults.flip == name and faults.flip_times:
                faults.flip_times -= 1
                middle = len(data) // 2
                data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
            start = self._range(len(data))
            if start is None:
                self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            body, headers = data[start:], {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
            if start or (self.headers.get("Range") and not faults.no_range):
                shown = start + 1 if faults.wrong_range else start
                headers["Content-Range"] = f"bytes {shown}-{len(data) - 1}/{len(data)}"
                self._send(206, body, headers)
            elif faults.longer == name:
                self._chunked(body + b"x" * 100_000)
            else:
                self._send(200, body, headers)

        def _range(self, size: int) -> int | None:
            asked = self.headers.get("Range")
            if asked is None or registry.faults.no_range:
                return 0
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            return start if start < size else None

        def _chunked(self, body: bytes) -> None:
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 8192):
                block = body[at : at + 8192]
                self._write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            self._write(b"0\r\n\r\n")
            self.close_connection = True

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            faults = registry.faults
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            download = (headers or {}).get("Accept-Ranges") == "bytes"
            if download and faults.cut_at is not None and faults.cut_times:
                faults.cut_times -= 1
                body = body[: faults.cut_at]
            if download and faults.trickle_s:
                for at in range(0, len(body), 64):
                    self._write(body[at : at + 64])
                    time.sleep(faults.trickle_s)
                return
            self._write(body)

        def _write(self, data: bytes) -> None:
            try:
                self.wfile.write(data)
                self.wfile.flush()
            except OSError:
                self.close_connection = True  # the agent has had enough

        def log_message(self, *_: object) -> None:
            return None

    return Handler
