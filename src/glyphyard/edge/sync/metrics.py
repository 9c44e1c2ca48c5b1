"""The agent's state for those who watch the device: `/metrics` for Prometheus, `/state` as JSON, on the loopback by default."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from glyphyard.core.errors import BadInput
from glyphyard.edge.sync.config import MetricsConfig
from glyphyard.edge.sync.state import SyncState

OUTCOMES = ("current", "updated", "quarantined", "refused", "unhealthy", "unreachable", "failed")
_HELP = {
    "serving": ("gauge", "The version that serves; its key as a label."),
    "wanted": ("gauge", "The version that the alias names."),
    "in_sync": ("gauge", "1 while the device serves what the alias names."),
    "outcome": ("gauge", "1 at the outcome of the last poll."),
    "polls_total": ("counter", "Polls since the agent started, by outcome."),
    "swaps_total": ("counter", "Versions that were made to serve and were healthy."),
    "rollbacks_total": ("counter", "Times that the agent went back by itself."),
    "downloaded_bytes_total": ("counter", "Bytes downloaded."),
    "quarantined": ("gauge", "Versions that are not tried again."),
    "failures": ("gauge", "Polls that failed in a row."),
    "seconds_since_success": ("gauge", "Since a poll ended well, by a clock that never jumps; absent before the first."),
}


class Board:
    """What is shown: the last state and counts by outcome. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._state: SyncState | None = None
        self._polls = dict.fromkeys(OUTCOMES, 0)
        self._success: float | None = None

    def show(self, state: SyncState) -> None:
        """Take over the state after a poll."""
        with self._lock:
            self._state = SyncState(**vars(state))
            self._polls[state.outcome] = self._polls.get(state.outcome, 0) + 1
            if state.failures == 0:
                self._success = self._clock()

    def as_json(self) -> dict[str, Any]:
        """Return the state as plain JSON values; empty before the first poll."""
        with self._lock:
            return self._state.to_json() if self._state else {}

    def as_metrics(self) -> str:
        """Return everything in Prometheus' text format (version 0.0.4)."""
        with self._lock:
            state, polls = self._state, dict(self._polls)
            since = None if self._success is None else self._clock() - self._success
        if state is None:
            return ""
        same = {"model": state.model, "alias": state.alias}
        rows: list[tuple[str, dict[str, str], float]] = [
            ("serving", {"key": state.serving or ""}, _number(state.serving)),
            ("wanted", {"key": state.wanted or ""}, _number(state.wanted)),
            ("in_sync", {}, float(state.serving is not None and state.serving == state.wanted)),
            *(("outcome", {"outcome": o}, float(o == state.outcome)) for o in OUTCOMES),
            *(("polls_total", {"outcome": o}, float(n)) for o, n in polls.items()),
            ("swaps_total", {}, state.swaps),
            ("rollbacks_total", {}, state.rollbacks),
            ("downloaded_bytes_total", {}, state.downloaded_bytes),
            ("quarantined", {}, len(state.quarantine)),
            ("failures", {}, state.failures),
        ]
        if since is not None:
            rows.append(("seconds_since_success", {}, round(since, 3)))
        lines, seen = [], set()
        for name, labels, value in rows:
            full = f"glyphyard_sync_{name}"
            if name not in seen:
                kind, text = _HELP[name]
                lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
                seen.add(name)
            written = ",".join(f'{k}="{_escaped(v)}"' for k, v in (same | labels).items())
            lines.append(f"{full}{{{written}}} {value:g}" if value < 1e6 else f"{full}{{{written}}} {value:.0f}")
        return "\n".join(lines) + "\n"


def serve(board: Board, config: MetricsConfig) -> ThreadingHTTPServer | None:
    """Serve the board in a thread; None where port 0 turns it off. A port that is taken is a `BadInput`."""
    if config.port == 0:
        return None
    return listen(board, config.host, config.port)


def listen(board: Board, host: str, port: int) -> ThreadingHTTPServer:
    """Serve the board at an address; port 0 takes a free one (see `server_port`)."""
    try:
        server = ThreadingHTTPServer((host, port), _handler(board))
    except OSError as error:
        raise BadInput(
            f"metrics {host}:{port}", f"cannot listen ({error.strerror})", "choose another port, or 0 for none"
        ) from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _handler(board: Board) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a watcher that says nothing holds no thread for long

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", board.as_metrics())
            elif self.path == "/state":
                self._answer(200, "application/json", json.dumps(board.as_json(), ensure_ascii=False))
            else:
                self._answer(404, "text/plain", "/metrics or /state\n")

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode("utf-8")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    return Handler


def _number(key: str | None) -> float:
    return float(key.partition("-")[0]) if key else 0.0


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
