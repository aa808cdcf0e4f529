"""Servers that throttle, hang, break off or answer something else: an error that says what it is.

Each fault is met by the first request, by a later one, and by a reader of pixels.
"""

from __future__ import annotations

import gzip
import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from virtual_tiff import VirtualTIFF
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.storage.settings import RETRY_SECONDS, TIMEOUT_SECONDS
from virtual_tiff.storage.stores import registry_for

_BUFFER = io.BytesIO()
tifffile.imwrite(_BUFFER, np.arange(4096, dtype=np.uint16).reshape(64, 64), tile=(32, 32))
DATA = _BUFFER.getvalue()
_HTML = b"<!DOCTYPE html><html>Please log in \x1b[31m</html>" * 300

#: Fault → status, body and headers instead of those that were right; `{}` is the range.
ANSWERS: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "slow down": (503, b"<Error><Code>SlowDown</Code></Error>", {}),
    "too many": (429, b"", {"Retry-After": "3600"}),
    "too many until a date": (429, b"", {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}),
    "fault": (500, b"\x1b]8;;http://example.org\x07click", {}),
    "gateway": (502, _HTML, {}),
    "login": (200, _HTML, {"Content-Type": "text/html"}),
    "login as a range": (206, _HTML, {"Content-Range": "{}"}),
    "forbidden": (403, b"<Error>\x1b]8;;http://example.org\x07click \xe2\x80\xae</Error>", {}),
    "whole file": (200, DATA, {}),
    "compressed": (206, gzip.compress(DATA), {"Content-Range": "{}", "Content-Encoding": "gzip"}),
    "other range": (206, DATA[16:80], {"Content-Range": f"bytes 16-79/{len(DATA)}"}),
    "no range": (206, DATA, {}),
    "nonsense for a range": (206, DATA, {"Content-Range": "bytes nonsense"}),
    "elsewhere": (302, b"", {"Location": "http://127.0.0.1:1/a.tif"}),
    "local file": (302, b"", {"Location": "file:///etc/passwd"}),
    "loop": (302, b"", {"Location": "/a.tif"}),
    "no content": (204, b"", {}),
    "beyond the end": (416, b"", {"Content-Range": f"bytes */{len(DATA)}"}),
}
#: Fault → kinds of the error for the first request and for others, and a word of the message.
EXPECTED = {
    "slow down": (ErrorKind.STORAGE, ErrorKind.STORAGE, "throttled"),
    "too many": (ErrorKind.STORAGE, ErrorKind.STORAGE, "throttled"),
    "too many until a date": (ErrorKind.STORAGE, ErrorKind.STORAGE, "throttled"),
    "fault": (ErrorKind.STORAGE, ErrorKind.STORAGE, "fault of its own"),
    "gateway": (ErrorKind.STORAGE, ErrorKind.STORAGE, "fault of its own"),
    "login": (ErrorKind.STORAGE, ErrorKind.STORAGE, "byte ranges"),
    "login as a range": (ErrorKind.NOT_A_TIFF, ErrorKind.SOURCE_CHANGED, ""),
    "forbidden": (ErrorKind.NOT_AUTHORIZED, ErrorKind.NOT_AUTHORIZED, "refused"),
    "whole file": (ErrorKind.STORAGE, ErrorKind.STORAGE, "byte ranges"),
    "compressed": (ErrorKind.NOT_A_TIFF, ErrorKind.SOURCE_CHANGED, ""),
    "other range": (ErrorKind.STORAGE, ErrorKind.STORAGE, "another range"),
    "no range": (ErrorKind.STORAGE, ErrorKind.STORAGE, "another range"),
    "nonsense for a range": (ErrorKind.STORAGE, ErrorKind.STORAGE, "another range"),
    "elsewhere": (ErrorKind.STORAGE, ErrorKind.STORAGE, "connection"),
    "local file": (ErrorKind.STORAGE, ErrorKind.STORAGE, "another address"),
    "loop": (ErrorKind.STORAGE, ErrorKind.STORAGE, "another address"),
    "no content": (ErrorKind.STORAGE, ErrorKind.STORAGE, "byte ranges"),
    "beyond the end": (ErrorKind.EMPTY_FILE, ErrorKind.SOURCE_CHANGED, ""),
    "reset": (ErrorKind.STORAGE, ErrorKind.STORAGE, "connection"),
    "half a body": (ErrorKind.STORAGE, ErrorKind.STORAGE, "connection"),
    "half a body that says so": (ErrorKind.SOURCE_CHANGED, ErrorKind.SOURCE_CHANGED, ""),
    "silence": (ErrorKind.STORAGE, ErrorKind.STORAGE, "timed out"),
    "a byte at a time": (ErrorKind.STORAGE, ErrorKind.STORAGE, "timed out"),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fault: str | None = None
    #: Requests that are answered rightly before.
    right = 0
    ended = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that do not read to the end."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
        part = DATA[int(start) : int(end) + 1]
        place = f"bytes {start}-{int(start) + len(part) - 1}/{len(DATA)}"
        fault = self.server.fault if self.server.right == 0 else None
        self.server.right = max(0, self.server.right - 1)
        if fault in ANSWERS:
            status, body, headers = ANSWERS[fault]
            if fault == "login as a range":
                body = (body * 9)[: len(part)]
            self._answer(status, body, {k: v.format(place) for k, v in headers.items()})
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "silence":
            self.server.ended.wait(30)
        else:
            self._part(fault, part, place)

    def _part(self, fault: str | None, part: bytes, place: str) -> None:
        headers = {"Content-Range": place, "ETag": '"a"'}
        half = part[: len(part) // 2]
        if fault is None:
            self._answer(206, part, headers)
        elif fault == "half a body that says so":
            self._answer(206, half, headers)
        elif fault == "half a body":
            self._answer(206, half, {**headers, "Content-Length": str(len(part))})
        else:
            self._answer(206, b"", {**headers, "Content-Length": str(len(part))})
            for i in range(len(part)):
                self.wfile.write(part[i : i + 1])
                self.wfile.flush()
                time.sleep(0.05)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setenv(RETRY_SECONDS, "0")
    monkeypatch.setenv(TIMEOUT_SECONDS, "1")
    server = _Server(("127.0.0.1", 0), _Handler)
    server.ended = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()


def _open(server: _Server) -> zarr.Array[Any]:
    url = f"http://127.0.0.1:{server.server_port}/a.tif"
    found = zarr.open_group(VirtualTIFF(prefetch=16)(url, registry_for([url])), mode="r")["0"]
    assert isinstance(found, zarr.Array)
    return found


def test_the_server_without_a_fault(server: _Server) -> None:
    assert np.array_equal(_open(server)[:], np.arange(4096).reshape(64, 64))


@pytest.mark.parametrize("when", ["at first", "later", "in pixels"])
@pytest.mark.parametrize("fault", EXPECTED)
def test_fault(fault: str, when: str, server: _Server) -> None:
    at_first, later, word = EXPECTED[fault]
    array = _open(server) if when == "in pixels" else None
    server.fault, server.right = fault, int(when == "later")
    with pytest.raises(VirtualTIFFError) as caught:
        _open(server) if array is None else array[0, 0]
    assert caught.value.kind == (at_first if when == "at first" else later)
    assert word in caught.value.message
    assert str(caught.value).isprintable()
