"""A web server on this machine that can break, lie and count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Web:
    """What the server serves and how; `requests` are (path, Range header) of each GET."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, str] = {"ETag": '"one"'}
        self.requests: list[tuple[str, str | None]] = []
        self.agents: list[str | None] = []
        self.statuses: list[int] = []
        """Answered instead, in turn, before anything is served."""
        self.cuts: list[int] = []
        """Bytes after which the connection breaks, in turn."""
        self.ranges = True
        self.lengths = True
        self.offset_by = 0
        self.redirects: dict[str, str] = {}
        self.hold: threading.Event | None = None
        self.base = ""

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        web, name = self.web, self.path.lstrip("/").partition("?")[0]
        web.requests.append((name, self.headers.get("Range")))
        web.agents.append(self.headers.get("User-Agent"))
        self.close_connection = True
        if web.hold is not None:
            web.hold.wait(30)
        if web.statuses:
            self._answer(web.statuses.pop(0), b"sorry")
        elif name in web.redirects:
            self.send_response(302)
            self.send_header("Location", web.redirects[name])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif name in web.files:
            self._serve(web.files[name])
        else:
            self._answer(404, b"no")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve(self, data: bytes) -> None:
        start, status = self._start(len(data))
        self.send_response(status)
        for name, value in self.web.headers.items():
            self.send_header(name, value)
        if status == 206:
            first = start + self.web.offset_by
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        if status == 416:
            self.send_header("Content-Range", f"bytes */{len(data)}")
        body = b"" if status == 416 else data[start:]
        if self.web.lengths or status == 416:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.web.cuts.pop(0)] if self.web.cuts else body)

    def _start(self, size: int) -> tuple[int, int]:
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        fresh = condition in (None, self.web.headers.get("ETag"), self.web.headers.get("Last-Modified"))
        if not (wanted and self.web.ranges and fresh):
            return 0, 200
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        return (start, 206) if start < size else (0, 416)


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients that break off are what is tested."""


@pytest.fixture
def web() -> Iterator[Web]:
    """A server of this machine; its files are added by the test."""
    state = Web()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": state}))
    state.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        if state.hold is not None:
            state.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
