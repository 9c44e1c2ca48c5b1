"""The service that reads plates: told of a swap, then asked until it is well."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from glyphyard.core.errors import StepFailed
from glyphyard.edge.sync.config import PASSWORD, TOKEN, USERNAME, HealthConfig, TellConfig

CALL_S = 30.0  # one command or request
MAX_BODY = 1 << 16


class Unhealthy(StepFailed):
    """The service did not take the model, or is not well with it."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_open = build_opener(ProxyHandler({}), _NoRedirect).open


def without_secrets() -> dict[str, str]:
    """Return the environment for a child process: the registry's credentials are none of its business."""
    return {name: value for name, value in os.environ.items() if name not in (USERNAME, PASSWORD, TOKEN)}


class Service:
    """Tells and asks as configured; with neither, a swap is over when the link has moved.

    `clock` and `sleep` are monotonic: a device without a battery for its clock starts in 1970 and jumps.
    """

    def __init__(
        self,
        tell: TellConfig,
        health: HealthConfig,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tell, self._health, self._clock, self._sleep = tell, health, clock, sleep

    def tell(self, bundle: Path, key: str, sha256: str) -> None:
        """Tell the service that `current` is another bundle now; raises `Unhealthy` where it cannot be told."""
        named = {"GLYPHYARD_BUNDLE": str(bundle), "GLYPHYARD_VERSION": key, "GLYPHYARD_BUNDLE_SHA256": sha256}
        try:
            if self._tell.command:
                _run(self._tell.command, named)
            elif self._tell.signal and self._tell.pid_file:
                _signal(self._tell.signal, Path(self._tell.pid_file))
            elif self._tell.url:
                body = json.dumps({"bundle": str(bundle), "version": key, "bundle_sha256": sha256}).encode("utf-8")
                _call(Request(self._tell.url, data=body, headers={"Content-Type": "application/json"}, method="POST"))
        except (OSError, ValueError, subprocess.SubprocessError, http.client.HTTPException) as error:
            news = f"of {key}" if key else "that no version serves"
            raise Unhealthy("service", f"cannot be told {news} ({_short(error)})", "check `tell`") from error

    def wait_until_healthy(self, key: str, sha256: str) -> None:
        """Return as soon as the service is well with this bundle; `Unhealthy` with its last words when the time is over."""
        if not (self._health.command or self._health.url):
            return
        deadline = self._clock() + self._health.timeout_s
        while True:
            if (trouble := self._trouble(sha256)) is None:
                return
            if self._clock() >= deadline:
                raise Unhealthy("service", f"not healthy with {key} after {self._health.timeout_s:g} s: {trouble}")
            self._sleep(min(self._health.every_s, max(0.0, deadline - self._clock())))

    def _trouble(self, sha256: str) -> str | None:
        try:
            if self._health.command:
                _run(self._health.command, {"GLYPHYARD_BUNDLE_SHA256": sha256})
                return None
            answer = _call(Request(str(self._health.url)))
        except (OSError, ValueError, subprocess.SubprocessError, http.client.HTTPException) as error:
            return _short(error)
        try:
            said = json.loads(answer)
        except ValueError:
            return None
        serves = said.get("bundle_sha256") if isinstance(said, dict) else None
        return None if serves in (None, sha256) else f"it still serves bundle {str(serves)[:16]}"


def _run(command: list[str], named: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        env=without_secrets() | named,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=CALL_S,
        check=False,
    )
    if done.returncode:
        raise OSError(f"{command[0]} ended with {done.returncode}")


def _signal(name: str, pid_file: Path) -> None:
    pid = int(pid_file.read_text(encoding="ascii"))
    if pid <= 1:
        raise ValueError(f"{pid_file} names process {pid}")
    os.kill(pid, signal.Signals[name])


def _call(request: Request) -> bytes:
    with _open(request, timeout=CALL_S) as answer:
        if not 200 <= answer.status < 300:
            raise OSError(f"HTTP {answer.status}")
        return bytes(answer.read(MAX_BODY))


def _short(error: BaseException) -> str:
    reason = getattr(error, "reason", None) if isinstance(error, URLError) else None
    return " ".join(str(reason or error).split())[:200] or type(error).__name__
