"""The least that a service needs for the sync agent: it reads crops that are POSTed, opens `current` anew on SIGHUP, and says
under /health which bundle answers. A start for your own: `python example_service.py /var/lib/glyphyard/current --port 8080`.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from glyphyard.core.errors import BadInput, GlyphyardError
from glyphyard.edge import Bundle, Recognizer, open_engine
from glyphyard.edge.catalogue import Reader, open_bundle

LARGEST = 16 << 20  # bytes of one crop


class Model:
    """What reads now; whoever is reading with the old one when it changes finishes with the old one."""

    def __init__(self, current: Path, target: str | None) -> None:
        self._current, self._target = current, target
        self.reader: Reader | None = None
        self.open()

    def open(self) -> None:
        """Open what the link names; where that fails the old one goes on, and /health goes on naming it."""
        try:
            self.reader = self._opened(self._current.resolve())  # resolved once: the link may move while its files are opened
        except GlyphyardError as error:
            print(f"cannot open {self._current}: {error}", file=sys.stderr, flush=True)

    def _opened(self, folder: Path) -> Reader:
        if self._target is None:
            return open_bundle(folder)
        bundle = Bundle.open(folder)  # of a recogniser: no other is read with an engine
        return Recognizer(bundle, session=open_engine(bundle, self._target))


class Handler(BaseHTTPRequestHandler):
    """GET /health, and POST / with an image."""

    model: Model

    def do_GET(self) -> None:
        """Answer 200 with the bundle's hash, 503 while there is none."""
        reader = self.model.reader
        if self.path != "/health":
            self._answer(404, {"error": "GET /health or POST /"})
        elif reader is None:
            self._answer(503, {"error": "no bundle yet"})
        else:
            self._answer(200, {"bundle_sha256": reader.sha256, "runtime": reader.providers})

    def do_POST(self) -> None:
        """Read the image in the body."""
        size, reader = self.headers.get("Content-Length", ""), self.model.reader
        if not size.isdecimal() or int(size) > LARGEST:
            self._answer(413, {"error": f"expected an image of at most {LARGEST} bytes and its Content-Length"})
        elif reader is None:
            self._answer(503, {"error": "no bundle yet"})
        else:
            try:
                reading = reader.read(self.rfile.read(int(size)))
                self._answer(200, {"text": reading.text, "confidence": round(float(reading.confidence), 4)})
            except BadInput as error:
                self._answer(400, {"error": str(error)})

    def _answer(self, status: int, value: dict[str, object]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a health check comes every second."""


def main() -> None:
    """Serve until somebody ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("current", type=Path, help="the sync agent's link, or any bundle")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--target", help="read with the TensorRT engine of this target, from $GLYPHYARD_ENGINES")
    given = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # before any thread: it waits below instead of killing
    Handler.model = Model(given.current, given.target)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    while True:
        signal.sigwait({signal.SIGHUP})
        Handler.model.open()


if __name__ == "__main__":
    main()
