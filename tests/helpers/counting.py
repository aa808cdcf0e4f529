"""A proxy on loopback that counts the requests to a server behind it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

#: Headers that belong to one connection alone.
_OF_A_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Counting:
    """Address of the proxy, and what was requested: method and path, or prefix of a listing."""

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    def take(self, start: str) -> list[str]:
        """Return the requests for paths with this start, `GET name` or `LIST`, and forget all."""
        found, self.requests[:] = list(self.requests), []
        texts = []
        for method, target in found:
            path = unquote(urlsplit(target).path)
            query = parse_qs(urlsplit(target).query)
            if "list-type" in query:
                prefix = query.get("prefix", [""])[0]
                if f"{path.rstrip('/')}/{prefix}".startswith(start):
                    texts.append("LIST")
            elif path.startswith(start):
                texts.append(f"{method} {path.rsplit('/', 1)[-1]}")
        return sorted(texts)


@contextmanager
def counting(server: str) -> Iterator[Counting]:
    """Run a proxy of an HTTP server."""
    counts = Counting()
    host = urlsplit(server).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            counts.requests.append((self.command, self.path))
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            connection = http.client.HTTPConnection(host, timeout=60)
            try:
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _OF_A_HOP:
                        self.send_header(name, value)
                size = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", size or str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            finally:
                connection.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    counts.url = f"http://127.0.0.1:{proxy.server_port}"
    try:
        yield counts
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
