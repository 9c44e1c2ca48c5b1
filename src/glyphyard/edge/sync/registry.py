"""MLflow's REST API with nothing but the standard library: alias → version → list → download."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from glyphyard.core.errors import BadInput, StepFailed
from glyphyard.edge.sync.config import Credentials, RegistryConfig
from glyphyard.edge.sync.disk import write_all, writing

MAX_ANSWER = 4 << 20  # bytes of JSON
MAX_FILES, MAX_DEPTH = 256, 4
BLOCK = 1 << 18
AGAIN = "the next poll tries again"
REFUSED = "look at this version in the registry; register it again with `glyphyard push`"


class Unreachable(StepFailed):
    """The registry is down, slow, or answers what no registry should: wait and try again."""


class Refused(BadInput):
    """This version must not be installed, now or later."""


@dataclass(frozen=True)
class Version:
    """A version that an alias names; `sha256` is its bundle.json's, which names every other file's."""

    model: str
    number: str
    run_id: str
    source: str
    sha256: str
    verdict: str

    @property
    def key(self) -> str:
        """The name of its folder on the device: number and content, so that no content can pass for another."""
        return f"{self.number}-{self.sha256[:16]}"


@dataclass(frozen=True)
class RemoteFile:
    """A file of the bundle: its name inside the bundle and its size in bytes as the registry states it."""

    name: str
    size: int


class Registry:
    """A client of one MLflow server; follows no redirect, so credentials go nowhere else."""

    def __init__(self, config: RegistryConfig, credentials: Credentials) -> None:
        self._config, self._credentials = config, credentials
        self._address = urlsplit(config.url)

    def resolve(self, model: str, alias: str) -> Version:
        """Return the version that `alias` names; one that was not registered with a passing verdict is `Refused`."""
        answer = self._json("/api/2.0/mlflow/registered-models/alias", name=model, alias=alias)
        entry = answer.get("model_version")
        if not isinstance(entry, dict):
            raise Unreachable(self._config.url, f"its answer for {model}@{alias} names no version")
        listed = entry.get("tags")
        tags = {t.get("key"): t.get("value") for t in (listed if isinstance(listed, list) else []) if isinstance(t, dict)}
        number, sha256 = str(entry.get("version")), str(tags.get("bundle_sha256"))
        if not re.fullmatch(r"[0-9]{1,12}", number):
            raise Refused(f"{model}@{alias}", f"expected a version number, found {number[:40]!r}", REFUSED)
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise Refused(f"{model} version {number}", "it has no tag bundle_sha256 to check its files against", REFUSED)
        verdict = str(tags.get("verdict"))
        if verdict != "PASS":
            raise Refused(f"{model} version {number}", f"its verdict is {verdict[:40]}, only a PASS may serve", REFUSED)
        return Version(model, number, str(entry.get("run_id", "")), str(entry.get("source", "")), sha256, verdict)

    def files(self, version: Version) -> dict[str, RemoteFile]:
        """List the bundle's files; a name that leads out of the bundle refuses the version."""
        top = self._json("/api/2.0/mlflow/artifacts/list", run_id=version.run_id)
        root = str(top.get("root_uri", "")).rstrip("/")
        inside = version.source.removeprefix(f"{root}/").strip("/")
        if not root or not version.source.startswith(f"{root}/") or not safe_name(inside):
            raise Refused(f"{version.model} version {version.number}", "its files are not those of its run", REFUSED)
        found = {file.name: file for file in self._walk(version, inside, inside, MAX_DEPTH)}
        if len(found) > MAX_FILES:
            raise Refused(f"{version.model} version {version.number}", f"more than {MAX_FILES} files", REFUSED)
        return found

    def _walk(self, version: Version, prefix: str, path: str, depth: int) -> Iterator[RemoteFile]:
        entries = self._json("/api/2.0/mlflow/artifacts/list", run_id=version.run_id, path=path).get("files", [])
        where = f"{version.model} version {version.number}"
        if not isinstance(entries, list) or len(entries) > MAX_FILES:
            raise Refused(where, f"expected a list of at most {MAX_FILES} files in {path}", REFUSED)
        for entry in entries:
            name = str(entry.get("path", "")) if isinstance(entry, dict) else ""
            if not name.startswith(f"{path}/") or not safe_name(name):
                raise Refused(where, f"the artifact name {name[:80]!r} leads out of the bundle", REFUSED)
            if entry.get("is_dir"):
                if depth == 0:
                    raise Refused(where, f"folders more than {MAX_DEPTH} deep", REFUSED)
                yield from self._walk(version, prefix, name, depth - 1)
            else:
                size = entry.get("file_size")
                if not re.fullmatch(r"[0-9]{1,15}", str(size)):
                    raise Refused(where, f"the registry does not know how big {name[:80]!r} is", REFUSED)
                yield RemoteFile(name.removeprefix(f"{prefix}/"), int(str(size)))

    def fetch(self, version: Version, file: RemoteFile, partial: Path) -> int:
        """Download `file` to `partial`, going on where an earlier try stopped; return the bytes that came.

        What came before a break stays for the next try. More bytes than the registry stated are `Refused`.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with writing(partial):
            handle = os.open(partial, flags, 0o644)
        try:
            have = os.fstat(handle).st_size
            if have > file.size:
                have = _cut(partial, handle, 0)
            came = self._receive(version, file, partial, handle, have) if have < file.size else 0
            with writing(partial):
                os.fsync(handle)
            return came
        finally:
            os.close(handle)

    def _receive(self, version: Version, file: RemoteFile, partial: Path, handle: int, have: int) -> int:
        query = urlencode({"name": version.model, "version": version.number, "path": file.name})
        deadline = time.monotonic() + self._config.timeout_s + file.size / (self._config.slowest_kib_per_s * 1024)
        came = 0
        with self._request(f"/model-versions/get-artifact?{query}", {"Range": f"bytes={have}-"} if have else {}) as response:
            if response.status == 416:
                _cut(partial, handle, 0)
                raise Unreachable(
                    version.key, f"{file.name}: the server cannot go on at byte {have}", "the next poll starts again"
                )
            start = _cut(partial, handle, _start(response, have))
            while block := response.read1(BLOCK):
                if start + came + len(block) > file.size:
                    _cut(partial, handle, 0)
                    raise Refused(
                        version.key, f"{file.name} is more than the {file.size} bytes that the registry states", REFUSED
                    )
                with writing(partial):
                    write_all(handle, block)
                came += len(block)
                if time.monotonic() > deadline:
                    raise Unreachable(version.key, f"{file.name}: slower than {self._config.slowest_kib_per_s:g} KiB/s")
        if start + came != file.size:
            raise Unreachable(
                version.key, f"{file.name}: {start + came} of {file.size} bytes came", "the next poll goes on there"
            )
        return came

    def _json(self, path: str, /, **query: str) -> dict[str, Any]:
        deadline = time.monotonic() + 3 * self._config.timeout_s
        with self._request(f"{path}?{urlencode(query)}", {}) as response:
            data = b""
            while block := response.read1(BLOCK):
                data += block
                if len(data) > MAX_ANSWER or time.monotonic() > deadline:
                    raise Unreachable(self._config.url, "its answer is too long or too slow")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise Unreachable(self._config.url, "its answer is no JSON object", "is this an MLflow server?")
        return value

    @contextmanager
    def _request(self, path: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        if self._credentials.header:
            headers = headers | {"Authorization": self._credentials.header}
        try:
            connection.request("GET", self._address.path.rstrip("/") + path, headers=headers | {"Accept-Encoding": "identity"})
            response = connection.getresponse()
            if response.status not in (200, 206, 416):
                raise self._explain(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise Unreachable(self._config.url, f"does not answer ({reason})", AGAIN) from error
        except ValueError as error:  # of http.client about a header: its text would show what the header holds
            raise Unreachable(
                self._config.url, f"cannot be asked ({type(error).__name__})", "check address and credentials"
            ) from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port, timeout = str(self._address.hostname), self._address.port, self._config.timeout_s
        if self._address.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            trusted = ssl.create_default_context(cafile=self._config.ca_file)
        except OSError as error:
            raise Unreachable(
                "registry.ca_file", f"{self._config.ca_file}: expected certificates in PEM ({error.strerror or error})", "mend it"
            ) from error
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=trusted)

    def _explain(self, response: http.client.HTTPResponse) -> Unreachable:
        status = response.status
        if status in (401, 403):
            return Unreachable(
                self._config.url, f"refuses (HTTP {status})", "check user and password, their rights, and the model's name"
            )
        if 300 <= status < 400:
            return Unreachable(self._config.url, f"sends elsewhere (HTTP {status})", "give the registry's own address")
        try:
            said = json.loads(response.read(4096)).get("message", "")
        except (ValueError, RecursionError, AttributeError, OSError, http.client.HTTPException):
            said = ""
        remedy = "check registry.url: is this an MLflow server?" if status == 404 and not said else AGAIN
        if status == 500 and self._credentials.token:
            remedy = f"{AGAIN}; if it stays so: MLflow's own users have a password, a token needs a proxy that knows it"
        return Unreachable(self._config.url, f"HTTP {status} {' '.join(str(said).split())[:160]}".strip(), remedy)


def safe_name(name: str) -> bool:
    """True for a relative path of plain names: no `..`, no empty part, nothing that another system reads otherwise."""
    try:
        parts = name.encode("utf-8").split(b"/")
    except UnicodeEncodeError:  # half of a surrogate pair: no file can have that name
        return False
    plain = all(part not in (b"", b".", b"..") and len(part) <= 200 for part in parts)
    return plain and not any(c in '\\:\0"<>|?*%' or ord(c) < 32 for c in name)


def _cut(path: Path, handle: int, size: int) -> int:
    """Shorten an open file to `size` bytes, stand at its end, and return that."""
    with writing(path):
        os.ftruncate(handle, size)
        return os.lseek(handle, size, os.SEEK_SET)


def _start(response: http.client.HTTPResponse, have: int) -> int:
    """Return the byte at which this answer begins; a server that ignores Range sends all of it from the start."""
    if response.status == 200:
        return 0
    stated = re.match(r"bytes (\d+)-", response.getheader("Content-Range") or "")
    if not stated or int(stated[1]) != have:
        raise Unreachable("registry", "its answer is another range than the one asked for")
    return have
