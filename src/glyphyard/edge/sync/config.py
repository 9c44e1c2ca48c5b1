"""The agent's configuration: one small JSON file, read strictly; secrets stand elsewhere."""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from glyphyard.core.errors import BadInput
from glyphyard.core.files import read_json
from glyphyard.core.records import Record
from glyphyard.core.targets import target_named
from glyphyard.edge.queue import LabelQueue

LOOPBACK = ("127.0.0.1", "localhost", "::1")
USERNAME, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
MIB = 1 << 20


@dataclass(frozen=True)
class RegistryConfig(Record):
    """Where the registry is. `timeout_s` bounds each silence; `slowest_kib_per_s` bounds a download as a whole."""

    url: str
    credentials_file: str | None = None
    ca_file: str | None = None
    timeout_s: float = 20.0
    slowest_kib_per_s: float = 8.0
    allow_plain_http: bool = False


@dataclass(frozen=True)
class TellConfig(Record):
    """How the service learns of a swap: a command (no shell), a signal to the process of `pid_file`, or a POST to `url`."""

    command: list[str] = field(default_factory=list)
    signal: str | None = None
    pid_file: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class HealthConfig(Record):
    """How the service says that it reads with the new model: a command that exits 0, or a `url` that answers 200.

    A JSON answer with a `bundle_sha256` must name the new bundle, so that an old model in good health is no success.
    """

    command: list[str] = field(default_factory=list)
    url: str | None = None
    timeout_s: float = 60.0
    every_s: float = 1.0


@dataclass(frozen=True)
class TrialConfig(Record):
    """What a new bundle must do on this device before it may serve; it runs in a process of its own.

    `engine`: a target's name builds or picks its TensorRT engine; absent: ONNX Runtime with `providers`.
    `canary`: a folder of recent crops; more than `max_disagreement` of them read otherwise than now refuse the bundle.
    """

    providers: list[str] = field(default_factory=lambda: ["CPUExecutionProvider"])
    engine: str | None = None
    canary: str | None = None
    canary_crops: int = 64
    max_disagreement: float = 0.5
    timeout_s: float = 1800.0


@dataclass(frozen=True)
class MetricsConfig(Record):
    """Where state and Prometheus metrics are served; port 0 is off."""

    host: str = "127.0.0.1"
    port: int = 9464


@dataclass(frozen=True)
class QueueConfig(Record):
    """Where doubtful reads wait for a label; see `glyphyard.edge.queue`. `below`: a confidence that is less is doubtful."""

    folder: str
    max_mib: float = 256.0
    max_age_days: float = 30.0
    below: float = 0.9

    def open(self) -> LabelQueue:
        """Return the queue itself."""
        return LabelQueue(Path(self.folder), self.max_mib, self.max_age_days)


@dataclass(frozen=True)
class SyncConfig(Record):
    """All of it; only `registry`, `model` and `root` must be given."""

    registry: RegistryConfig
    model: str
    root: str
    alias: str = "champion"
    poll_s: float = 300.0
    max_wait_s: float = 3600.0
    keep: int = 3
    max_bundle_mib: float = 1024.0
    trial: TrialConfig = TrialConfig()
    tell: TellConfig = TellConfig()
    health: HealthConfig = HealthConfig()
    metrics: MetricsConfig = MetricsConfig()
    queue: QueueConfig | None = None

    @classmethod
    def load(cls, path: Path) -> SyncConfig:
        """Read and check a configuration file; a `BadInput` names what is wrong."""
        try:
            value = read_json(path)
        except BadInput as error:
            raise BadInput(error.where, error.problem, "name the agent's JSON file with --config") from error
        return cls.from_json(value, str(path)).checked(str(path))

    def checked(self, where: str) -> SyncConfig:
        """Return the configuration itself if it keeps the laws GY045 to GY048."""
        address = _address(self.registry.url, f"{where}.registry.url")
        if address.username or address.password or "@" in address.netloc:
            remedy = f"set {USERNAME} and {PASSWORD}, or name a credentials_file"
            raise BadInput(f"{where}.registry.url", "[GY045] it holds a user or a password", remedy)
        for name, value, holds in (
            ("root", self.root, Path(self.root).is_absolute()), ("model", self.model, self.model), ("alias", self.alias, self.alias)
        ):  # fmt: skip
            if not holds:
                expected = "an absolute path" if name == "root" else "a name"
                raise BadInput(f"{where}.{name}", f"[GY046] expected {expected}, found {value!r}")
        for name, url in (("tell.url", self.tell.url), ("health.url", self.health.url)):
            if url is not None:
                _address(url, f"{where}.{name}", query=True)
        if self.trial.engine is not None:
            target_named(self.trial.engine, f"{where}.trial.engine")
        if odd := [name for name in self.trial.providers if not name.endswith("ExecutionProvider")] or not self.trial.providers:
            problem = f"[GY047] expected names such as CPUExecutionProvider, found {odd if self.trial.providers else []}"
            raise BadInput(f"{where}.trial.providers", problem)
        bounds: dict[str, tuple[float, float, float]] = {
            "poll_s": (self.poll_s, 1, 86_400),
            "max_wait_s": (self.max_wait_s, self.poll_s, 7 * 86_400),
            "keep": (self.keep, 2, 100),
            "max_bundle_mib": (self.max_bundle_mib, 0.001, 65_536),
            "registry.timeout_s": (self.registry.timeout_s, 0.05, 600),
            "registry.slowest_kib_per_s": (self.registry.slowest_kib_per_s, 0.001, 1e9),
            "health.timeout_s": (self.health.timeout_s, 0.05, 3600),
            "health.every_s": (self.health.every_s, 0.01, 600),
            "trial.timeout_s": (self.trial.timeout_s, 1, 86_400),
            "trial.max_disagreement": (self.trial.max_disagreement, 0, 1),
            "trial.canary_crops": (self.trial.canary_crops, 1, 100_000),
            "metrics.port": (self.metrics.port, 0, 65_535),
        }
        if self.queue is not None:
            bounds["queue.max_mib"] = (self.queue.max_mib, 0.001, 1e6)
            bounds["queue.max_age_days"] = (self.queue.max_age_days, 0.001, 36_500)
            bounds["queue.below"] = (self.queue.below, 0, 1)
        for name, (found, low, high) in bounds.items():
            if not low <= found <= high:
                raise BadInput(f"{where}.{name}", f"[GY047] expected {low:g} to {high:g}, found {found:g}")
        _check_tell(self.tell, f"{where}.tell")
        if self.health.command and self.health.url:
            raise BadInput(f"{where}.health", "[GY048] a command and a url", "keep one")
        return self

    def credentials(self) -> Credentials:
        """Return the secret from the environment or the credentials file; over plain HTTP it stays on this machine."""
        if (trusted := self.registry.ca_file) is not None and not os.path.isfile(trusted):
            raise BadInput("registry.ca_file", f"[GY045] there is no file {trusted} that can be read", "name the PEM file")
        found = Credentials.find(self.registry.credentials_file)
        address = _address(self.registry.url, "registry.url")
        if found.header and address.scheme == "http" and address.hostname not in LOOPBACK and not self.registry.allow_plain_http:
            remedy = "use https, or set registry.allow_plain_http if the network is yours alone"
            raise BadInput("registry.url", "[GY049] credentials would travel unencrypted", remedy)
        return found


@dataclass(frozen=True, repr=False)
class Credentials:
    """A user with a password, or a token; its text never shows either."""

    username: str | None = None
    password: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(***)" if self.header else "Credentials()"

    @property
    def header(self) -> str | None:
        """The value of the HTTP header `Authorization`, None without credentials."""
        if self.token:
            return f"Bearer {self.token}"
        if self.username is None or self.password is None:
            return None
        from base64 import b64encode

        return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")

    @classmethod
    def find(cls, file: str | None) -> Credentials:
        """Read the credentials file when one is named, the environment otherwise."""
        if file is not None:
            return cls._read(Path(file))
        named = {"username": USERNAME, "password": PASSWORD, "token": TOKEN}
        found = {key: os.environ.get(variable) or None for key, variable in named.items()}
        for key, value in found.items():
            _check_secret(key, value or "-", f"environment variable {named[key]}")
        return cls(**found)

    @classmethod
    def _read(cls, path: Path) -> Credentials:
        try:
            with path.open("rb") as opened:  # the open file is the one whose rights are checked
                status = os.fstat(opened.fileno())
                data = opened.read(65_536)
        except OSError as error:
            raise BadInput(str(path), f"cannot read the credentials ({error.strerror})") from error
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid not in (0, os.geteuid()):
            raise BadInput(str(path), "[GY049] others may read the credentials", f"chown root {path}; chmod 600 {path}")
        try:
            value: Any = json.loads(data)
            fields = set(value) if isinstance(value, dict) else set()
        except (ValueError, RecursionError):
            fields = set()
        if fields not in ({"username", "password"}, {"token"}) or not all(isinstance(v, str) and v for v in value.values()):
            # No word of what was found: it may be a password.
            raise BadInput(str(path), 'expected {"username": …, "password": …} or {"token": …}')
        for key, text in value.items():
            _check_secret(key, text, f"{path}, {key}")
        return cls(**value)


def _check_secret(key: str, value: str, where: str) -> None:
    """Refuse what no HTTP header can carry, such as the line break of a file, and say nothing of the secret itself."""
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise BadInput(where, "[GY049] it holds a line break or another control character", "write it without")
    if key == "token" and not (value.isascii() and " " not in value):
        raise BadInput(where, "[GY049] expected a token of ASCII characters without blanks", "write it as the registry gave it")


def _address(url: str, where: str, query: bool = False) -> Any:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    plain = url.isascii() and url.isprintable() and " " not in url
    if not usable or not plain or (parts.query and not query) or parts.fragment:
        raise BadInput(where, "[GY045] expected http://host[:port][/path] or https://…, in ASCII and without blanks")
    return parts


def _check_tell(tell: TellConfig, where: str) -> None:
    ways = [name for name, given in (("command", tell.command), ("signal", tell.signal), ("url", tell.url)) if given]
    if len(ways) > 1:
        raise BadInput(where, f"[GY048] {' and '.join(ways)} at once", "keep one way to tell the service")
    if bool(tell.signal) != bool(tell.pid_file):
        raise BadInput(where, "[GY048] a signal needs a pid_file, and a pid_file a signal", "give both")
    import signal

    if tell.signal and not (tell.signal.startswith("SIG") and tell.signal in signal.Signals.__members__):
        raise BadInput(f"{where}.signal", f"[GY048] expected a name such as SIGHUP, found {tell.signal!r}")
