"""The server side of `tests.helpers.range_server`: HTTP/1.1 for one folder, on asyncio.Protocol.

Written by hand because the server must not distort what is measured against it: a request costs
it about 0.1 ms of CPU, however many connections wait for the latency to pass.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from stat import S_ISREG
from typing import cast
from urllib.parse import unquote

from tests.helpers.http import Fault, Headers, Request, Settings, describe, select

CONTROL = "/.range-server/"
"""Paths below this one steer the server; they are never delayed, failed or logged."""

_MAX_HEAD = 65536
_SENDFILE_FROM = 1 << 20
_CORS = (
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Expose-Headers: "
    b"Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified\r\n"
)
_PREFLIGHT = (
    b"Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: *, Range, If-Match, If-None-Match, If-Range\r\n"
    b"Access-Control-Max-Age: 86400\r\n"
)


@dataclass(slots=True)
class Folder:
    """A folder being served, and what all its connections share.

    Parameters
    ----------
    root
        The folder.
    settings
        Latency and faults; control requests replace them.
    """

    root: Path
    settings: Settings
    log: list[Request] = field(default_factory=list)
    attempts: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    answered: int = 0
    connections: int = 0
    waiting: int = 0
    peak_waiting: int = 0
    transfers: set[asyncio.Task[None]] = field(default_factory=set)

    def open(self, path: str) -> int | None:
        """File descriptor behind a URL path; `None` where there is no such regular file."""
        parts = [part for part in unquote(path).split("/") if part]
        if ".." in parts:
            return None
        try:
            descriptor = os.open(os.path.join(self.root, *parts), os.O_RDONLY)
        except (OSError, ValueError):
            return None
        if S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        return None

    def arrive(self) -> None:
        """Count a request that begins to wait for the latency."""
        self.waiting += 1
        self.peak_waiting = max(self.peak_waiting, self.waiting)

    def draw(self, path: str, byte_range: str | None) -> Fault:
        """Decide what goes wrong with the next answer."""
        self.waiting -= 1
        stop = self.settings.stop_after
        if stop is not None and self.answered >= stop:
            return "stopped"
        attempt = self.attempts[path, byte_range]
        self.attempts[path, byte_range] += 1
        self.answered += 1
        return self.settings.fault(path, byte_range, attempt)

    def control(self, method: str, command: str, body: bytes) -> object:
        """Do what a control request says and return the JSON to answer.

        Raises
        ------
        TypeError, ValueError
            If there is no such command or setting.
        """
        match method, command:
            case "GET", "requests":
                return self.log
            case "GET", "statistics":
                return {
                    "connections": self.connections,
                    "peak_waiting": self.peak_waiting,
                    "cpu_seconds": time.process_time(),
                }
            case "POST", "reset":
                self.log.clear()
                self.attempts.clear()
                self.answered, self.connections, self.peak_waiting = 0, 0, self.waiting
            case "POST", "settings":
                self.settings = replace(self.settings, **json.loads(body))
            case _:
                raise ValueError(f"no such command: {method} {command}")
        return asdict(self.settings)


class Connection(asyncio.Protocol):
    """One keep-alive connection, which answers its requests one after the other."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._buffer = b""
        self._busy = False
        self._keep_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._folder.connections += 1

    def data_received(self, data: bytes) -> None:
        """Collect bytes until a request is whole."""
        self._buffer += data
        if not self._busy:
            self._read_request()

    def _read_request(self) -> None:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            if len(head) > _MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        request_line, *lines = head.split(b"\r\n")
        headers: Headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().decode("latin-1")
        try:
            method, target, version = request_line.decode("latin-1").split(" ")
            length = int(headers.get(b"content-length", "0"))
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if len(rest) < length:
            return
        body, self._buffer = rest[:length], rest[length:]
        self._busy = True
        wants_close = headers.get(b"connection", "").lower() == "close"
        self._keep_alive = version == "HTTP/1.1" and not wants_close
        path = target.partition("?")[0]
        if path.startswith(CONTROL):
            self._control(method, path.removeprefix(CONTROL), body)
            return
        self._folder.arrive()
        arrived, latency = time.monotonic(), self._folder.settings.latency
        if latency:
            self._loop.call_later(latency, self._answer, method, path, headers, arrived)
        else:
            self._answer(method, path, headers, arrived)

    def _refuse(self, status: HTTPStatus) -> None:
        self._keep_alive = False
        self._reply(status)

    def _control(self, method: str, command: str, body: bytes) -> None:
        try:
            answer = json.dumps(self._folder.control(method, command, body))
        except (TypeError, ValueError) as error:
            self._reply(HTTPStatus.BAD_REQUEST, body=f"{error}\n".encode())
        else:
            self._reply(HTTPStatus.OK, b"Content-Type: application/json\r\n", answer.encode())

    def _answer(self, method: str, path: str, headers: Headers, arrived: float) -> None:
        """Answer now that the latency is over; the client may have gone meanwhile."""
        byte_range = headers.get(b"range")
        fault = self._folder.draw(path, byte_range)

        def log(status: int, sent: int = 0) -> None:
            self._folder.log.append(Request(method, path, byte_range, status, sent, fault, arrived))

        if fault == "stopped":
            log(0)
            self._transport.abort()
        elif fault == "error":
            log(HTTPStatus.SERVICE_UNAVAILABLE)
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE)
        elif method == "OPTIONS":
            log(HTTPStatus.NO_CONTENT)
            self._reply(HTTPStatus.NO_CONTENT, _PREFLIGHT)
        elif method not in ("GET", "HEAD"):
            log(HTTPStatus.METHOD_NOT_ALLOWED)
            self._reply(HTTPStatus.METHOD_NOT_ALLOWED, b"Allow: GET, HEAD, OPTIONS\r\n")
        elif (descriptor := self._folder.open(path)) is None:
            log(HTTPStatus.NOT_FOUND)
            self._reply(HTTPStatus.NOT_FOUND)
        else:
            stat = os.fstat(descriptor)
            selection = select(headers, stat)
            status, start, end = selection
            promised = end - start
            sent = promised // 2 if fault in ("disconnect", "truncate") else promised
            promised = sent if fault == "truncate" else promised
            sent = 0 if method == "HEAD" else sent
            self._keep_alive &= fault != "disconnect"
            log(status, sent)
            head = self._head(status, describe(selection, stat), promised)
            self._send(head, descriptor, start, sent)

    def _head(self, status: HTTPStatus, headers: bytes, length: int) -> bytes:
        # A 204 or 304 has no body, hence no length (RFC 9110 section 8.6).
        bodiless = status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        size = b"" if bodiless else b"Content-Length: %d\r\n" % length
        close = b"" if self._keep_alive else b"Connection: close\r\n"
        line = b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode())
        return b"".join((line, headers, _CORS, size, close, b"\r\n"))

    def _reply(self, status: HTTPStatus, headers: bytes = b"", body: bytes = b"") -> None:
        self._transport.write(self._head(status, headers, len(body)) + body)
        self._done()

    def _send(self, head: bytes, descriptor: int, start: int, length: int) -> None:
        if length < _SENDFILE_FROM:
            try:
                body = os.pread(descriptor, length, start) if length else b""
            finally:
                os.close(descriptor)
            self._transport.write(head + body)
            self._done()
            return
        self._transport.write(head)
        transfer = self._loop.create_task(self._transfer(descriptor, start, length))
        self._folder.transfers.add(transfer)  # the loop itself keeps only a weak reference
        transfer.add_done_callback(self._folder.transfers.discard)

    async def _transfer(self, descriptor: int, start: int, length: int) -> None:
        with os.fdopen(descriptor, "rb") as file:
            try:
                await self._loop.sendfile(self._transport, file, start, length)
            except (OSError, RuntimeError):
                self._transport.abort()  # the client went away
                return
        self._done()

    def _done(self) -> None:
        self._busy = False
        if not self._keep_alive:
            self._transport.close()
        elif self._buffer and not self._transport.is_closing():
            self._read_request()
