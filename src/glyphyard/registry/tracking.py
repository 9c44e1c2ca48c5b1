"""Where MLflow is, and how to speak to it: quietly, briefly when it is down, and without ever saying a credential."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from glyphyard.core.errors import GlyphyardError
from glyphyard.core.files import make_folder
from glyphyard.core.redact import redact

PROBE_TIMEOUT_S, PROBE_RETRIES = 5, 1  # to find out that a server is down
PATIENT_TIMEOUT_S, PATIENT_RETRIES = 60, 2  # once it has answered: bundles are megabytes
_CHATTY = ("mlflow", "alembic", "urllib3.connectionpool", "sqlalchemy")
_SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_AUTH_TOKEN")


@dataclass(frozen=True)
class Tracking:
    """One MLflow: `uri` as the client needs it (it may hold credentials; show `shown` instead) and the store beside it."""

    uri: str
    store: Path
    embedded: bool

    @classmethod
    def of(cls, store: Path, tracking_uri: str | None = None) -> Tracking:
        """Return the MLflow that a recipe names, or the database embedded in `store` when it names none."""
        store = Path(store).absolute()
        return cls(tracking_uri or f"sqlite:///{store}/mlflow.db", store, tracking_uri is None)

    @property
    def shown(self) -> str:
        """The URI without credentials: what may be printed, logged and written."""
        return redact(self.uri)

    @property
    def database(self) -> Path | None:
        """The sqlite file, None for a server."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    @property
    def artifacts(self) -> str | None:
        """Where artifacts of a sqlite MLflow go; its own default is ./mlruns of whatever folder one stands in."""
        return (self.database.absolute().parent / "mlartifacts").as_uri() if self.database else None

    @property
    def exists(self) -> bool:
        """False where the embedded database has not been made yet (looking must not create it)."""
        return self.database is None or self.database.exists()

    def scrub(self, text: str) -> str:
        """Return `text` without the credentials of this URI and of MLflow's environment variables."""
        raw = [_secret_of(self.uri), *(os.environ.get(name) for name in _SECRET_VARIABLES)]
        for secret in sorted({s for r in raw if r for s in (r, unquote(r))}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return redact(text)

    def explain(self, error: Exception) -> str:
        """Say in one line, without credentials, why MLflow did not do what it was asked."""
        if isinstance(error, GlyphyardError):
            return str(error)
        text = " ".join(self.scrub(str(error)).split())
        if isinstance(error, ModuleNotFoundError):
            return f"{text}; install this package's wheel with its extra [train]"
        if refused := re.search(r"error code (401|403) ", text):
            return f"refuses user or password (HTTP {refused[1]}), or they have not the right to"
        return "the server does not answer" if _is_silence(text) else f"{type(error).__name__}: {text[:300] or 'no reason given'}"


def _is_silence(text: str) -> bool:
    return any(
        sign in text
        for sign in ("Max retries exceeded", "Failed to establish", "timed out", "Connection refused", "Connection reset")
    )


def _secret_of(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        return parts.password or parts.username  # a token may stand where the name does
    except ValueError:
        return None


@contextmanager
def connected(tracking: Tracking) -> Iterator[Any]:
    """Yield an `MlflowClient` that has answered once; raise within seconds when nobody is there.

    sqlite is held under a file lock meanwhile: two processes creating the database race, and an alias has no compare-and-swap.
    """
    with ExitStack() as stack:
        if tracking.database:
            stack.enter_context(_locked(make_folder(tracking.database.absolute().parent) / "mlflow.lock"))
        stack.enter_context(_environment(_SILENT))
        stack.enter_context(_quiet())
        from mlflow import MlflowClient  # seconds: only when something is to be logged

        client = MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)
        with _environment(_patience(PROBE_TIMEOUT_S, PROBE_RETRIES)):
            client.search_experiments(max_results=1)
        with _environment(_patience(PATIENT_TIMEOUT_S, PATIENT_RETRIES)):
            yield client


_SILENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it prints the URL as given, credentials and all
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def _patience(timeout_s: int, retries: int) -> dict[str, str]:
    return {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_s),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    }


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep migrations and retries off the screen; errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield  # closing the file lets go, so does the death of the process
