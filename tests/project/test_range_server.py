"""The HTTP server of the tests and benchmarks must itself be right, or it proves nothing."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from obstore.store import HTTPStore

from tests.helpers.http import Settings, parse_range
from tests.helpers.range_server import RangeServer

ROOT = Path(__file__).resolve().parents[2]
SMALL = bytes(range(256)) * 4
LARGE = os.urandom(3 << 20)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served")
    (path / "small.bin").write_bytes(SMALL)
    (path / "large.bin").write_bytes(LARGE)
    (path / "empty.bin").write_bytes(b"")
    (path / "sub folder").mkdir()
    (path / "sub folder" / "ä.bin").write_bytes(b"umlaut")
    (path.parent / "secret.bin").write_bytes(b"outside")
    return path


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[RangeServer]:
    with RangeServer(folder) as server:
        yield server


@pytest.fixture
def server(shared: RangeServer) -> RangeServer:
    shared.configure(
        latency=0, error_rate=0, disconnect_rate=0, truncate_rate=0, stop_after=None, seed=0
    )
    shared.configure(fault_paths="*")
    shared.reset()
    return shared


def connect(server: RangeServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)


def ask(
    server: RangeServer, path: str = "/small.bin", method: str = "GET", **headers: str
) -> Answer:
    connection = connect(server)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=names)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=10-", (10, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("Bytes = 1-2", (1, 3)),
        ("bytes=100-", "unsatisfiable"),
        ("bytes=100-200", "unsatisfiable"),
        ("bytes=-0", "unsatisfiable"),
        ("bytes=5-4", "ignore"),
        ("bytes=0-1,5-6", "ignore"),
        ("bytes=a-b", "ignore"),
        ("bytes=-", "ignore"),
        ("bytes=+1-2", "ignore"),
        ("lines=0-1", "ignore"),
        ("", "ignore"),
    ],
)
def test_parse_range(value: str, expected: object) -> None:
    assert parse_range(value, 100) == expected


def test_whole_file_and_head(server: RangeServer) -> None:
    whole = ask(server)
    assert (whole.status, whole.body) == (200, SMALL)
    head = ask(server, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges"):
        assert head.headers[name] == whole.headers[name]
    assert whole.headers["Content-Length"] == str(len(SMALL))
    assert whole.headers["Access-Control-Allow-Origin"] == "*"
    assert "Content-Range" in whole.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("byte_range", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-24", 1000, 1024)],
)
def test_range(server: RangeServer, byte_range: str, start: int, end: int) -> None:
    answer = ask(server, Range=byte_range)
    assert (answer.status, answer.body) == (206, SMALL[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/1024"
    head = ask(server, method="HEAD", Range=byte_range)
    assert (head.status, head.headers["Content-Length"]) == (206, str(end - start))


def test_unsatisfiable_ranges(server: RangeServer) -> None:
    answer = ask(server, Range="bytes=1024-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1024")
    answer = ask(server, "/empty.bin", Range="bytes=-1")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */0")
    answer = ask(server, "/empty.bin")
    assert (answer.status, answer.headers["Content-Length"]) == (200, "0")


def test_large_bodies_are_whole(server: RangeServer) -> None:
    assert ask(server, "/large.bin").body == LARGE
    part = ask(server, "/large.bin", Range=f"bytes=7-{(2 << 20) + 6}")
    assert part.body == LARGE[7 : (2 << 20) + 7]


def test_preconditions(server: RangeServer) -> None:
    first = ask(server)
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    old, future = "Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"
    for status, headers in [
        (200, {"If_Match": etag}),
        (200, {"If_Match": f'"other", {etag}'}),
        (200, {"If_Match": "*"}),
        (412, {"If_Match": '"other"'}),
        (200, {"If_Unmodified_Since": modified}),
        (412, {"If_Unmodified_Since": old}),
        (200, {"If_Match": etag, "If_Unmodified_Since": old}),
        (304, {"If_None_Match": etag}),
        (200, {"If_None_Match": '"other"', "If_Modified_Since": future}),
        (304, {"If_Modified_Since": modified}),
        (200, {"If_Modified_Since": old}),
        (200, {"If_Modified_Since": "yesterday"}),
        (206, {"Range": "bytes=0-1", "If_Range": etag}),
        (206, {"Range": "bytes=0-1", "If_Range": modified}),
        (200, {"Range": "bytes=0-1", "If_Range": '"other"'}),
        (200, {"Range": "bytes=0-1", "If_Range": old}),
    ]:
        assert ask(server, **headers).status == status, headers


def test_etag_follows_the_file(server: RangeServer, folder: Path) -> None:
    changing = folder / "changing.bin"
    tags = set()
    for content in (b"aaaa", b"bbbb", b"ccccc"):
        replacement = folder / "new.bin"
        replacement.write_bytes(content)
        os.utime(replacement, (1_700_000_000, 1_700_000_000))
        kept = changing.exists() and os.open(changing, os.O_RDONLY)  # its inode stays in use
        replacement.rename(changing)
        answer = ask(server, "/changing.bin")
        assert answer.body == content
        assert answer.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        tags.add(answer.headers["ETag"])
        if kept:
            os.close(kept)
    assert len(tags) == 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/sub%20folder/%C3%A4.bin", 200),
        ("/small.bin?version=2", 200),
        ("/missing.bin", 404),
        ("/sub%20folder", 404),
        ("/", 404),
        ("/../secret.bin", 404),
        ("/%2e%2e/secret.bin", 404),
        ("/sub%20folder%2f..%2f..%2fsecret.bin", 404),
        ("/small.bin%00", 404),
    ],
)
def test_paths(server: RangeServer, path: str, status: int) -> None:
    assert ask(server, path).status == status


def test_other_methods(server: RangeServer) -> None:
    preflight = ask(server, method="OPTIONS")
    assert preflight.status == 204
    assert "GET" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Range" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Content-Length" not in preflight.headers
    assert ask(server, method="DELETE").status == 405


def exchange(server: RangeServer, data: bytes, pause: bool = False) -> bytes:
    """Send bytes on one connection and return all that comes until the server closes it."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        if pause:
            client.sendall(data[:20])
            time.sleep(0.02)
            data = data[20:]
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_connections(server: RangeServer) -> None:
    request = b"HEAD /small.bin HTTP/1.1\r\nHost: x\r\n"
    pipelined = exchange(server, (request + b"\r\n") * 2 + request + b"Connection: close\r\n\r\n")
    assert pipelined.count(b"HTTP/1.1 200 OK") == 3
    assert SMALL not in pipelined
    assert pipelined.count(b"Connection: close") == 1
    assert server.statistics["connections"] == 1 + 1  # ours, and the one that asks this
    assert exchange(server, b"HEAD /small.bin HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert b" 200 OK" in exchange(server, request + b"Connection: close\r\n\r\n", pause=True)
    assert exchange(server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert exchange(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000).startswith(b"HTTP/1.1 431")


def test_log(server: RangeServer) -> None:
    for byte_range in ("bytes=0-9", "bytes=2000-"):
        ask(server, Range=byte_range)
    ask(server, "/missing.bin", "HEAD")
    log = server.requests
    assert [entry[:6] for entry in log] == [
        ("GET", "/small.bin", "bytes=0-9", 206, 10, ""),
        ("GET", "/small.bin", "bytes=2000-", 416, 0, ""),
        ("HEAD", "/missing.bin", None, 404, 0, ""),
    ]
    assert log[0].time <= log[1].time <= log[2].time
    server.reset()
    assert server.requests == []


def test_latency_is_shared_by_concurrent_requests(server: RangeServer) -> None:
    server.configure(latency=0.2)
    start = time.perf_counter()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(server), range(20)))
    elapsed = time.perf_counter() - start
    assert all(answer.body == SMALL for answer in answers)
    assert 0.2 <= elapsed < 4.0  # what they would take one after the other
    assert server.statistics["peak_waiting"] > 5


def statuses(server: RangeServer, count: int, path: str = "/small.bin") -> list[int]:
    return [ask(server, path, Range=f"bytes={i}-").status for i in range(count)]


def test_errors_are_drawn_from_the_seed(server: RangeServer) -> None:
    server.configure(error_rate=0.3, seed=1)
    first = statuses(server, 100)
    assert set(first) == {206, 503}
    assert 15 <= first.count(503) <= 45
    assert [entry.fault for entry in server.requests].count("error") == first.count(503)
    assert statuses(server, 100) != first  # repeated requests draw again
    server.reset()
    with ThreadPoolExecutor(8) as pool:  # in any order
        answers = pool.map(lambda i: ask(server, Range=f"bytes={i}-").status, range(100))
        assert list(answers) == first
    server.configure(seed=2)
    server.reset()
    assert statuses(server, 100) != first


def test_faults_of_some_paths_only(server: RangeServer) -> None:
    server.configure(error_rate=1, fault_paths="/sub*")
    assert ask(server).status == 200
    assert ask(server, "/sub%20folder/%C3%A4.bin").status == 503


@pytest.mark.parametrize("path", ["/small.bin", "/large.bin"])
def test_disconnect_half_way(server: RangeServer, path: str, folder: Path) -> None:
    server.configure(disconnect_rate=1)
    whole = (folder / path[1:]).read_bytes()
    connection = connect(server)
    connection.request("GET", path)
    with pytest.raises(http.client.IncompleteRead) as caught:
        connection.getresponse().read()
    connection.close()
    assert caught.value.partial == whole[: len(whole) // 2]
    assert server.requests[0][3:6] == (200, len(whole) // 2, "disconnect")


def test_truncated_body_shows_in_content_range_only(server: RangeServer) -> None:
    server.configure(truncate_rate=1)
    answer = ask(server, Range="bytes=0-99")
    assert (answer.status, answer.body) == (206, SMALL[:50])
    assert answer.headers["Content-Length"] == "50"
    assert answer.headers["Content-Range"] == "bytes 0-99/1024"


def test_stop_after(server: RangeServer) -> None:
    server.configure(stop_after=2)
    assert statuses(server, 2) == [206, 206]
    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask(server)
    assert [entry.status for entry in server.requests] == [206, 206, 0, 0]
    server.reset()
    assert ask(server).status == 200


def test_obstore_reads_and_retries(server: RangeServer) -> None:
    store = HTTPStore(server.url, client_options={"allow_http": True})
    part = obstore.get(store, "small.bin", options={"range": (10, 20)})
    assert (bytes(part.bytes()), part.meta["size"]) == (SMALL[10:20], len(SMALL))
    assert part.meta["e_tag"] == ask(server).headers["ETag"]
    server.reset()
    server.configure(error_rate=0.5, seed=3)
    for i in range(4):
        assert bytes(obstore.get_range(store, "small.bin", start=i, length=9)) == SMALL[i : i + 9]
    log = [entry.status for entry in server.requests]
    assert log.count(206) == 4
    assert 503 in log


@pytest.mark.parametrize(
    "settings", [{"latency": -1.0}, {"error_rate": 1.1}, {"error_rate": 0.6, "truncate_rate": 0.6}]
)
def test_senseless_settings(settings: dict[str, float], server: RangeServer, folder: Path) -> None:
    with pytest.raises(ValueError, match="rates within 0 and 1"):
        RangeServer(folder, **settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rates within 0 and 1"):
        server.configure(**settings)  # type: ignore[arg-type]


def test_unknown_control(server: RangeServer) -> None:
    assert ask(server, "/.range-server/explode").status == 400
    connection = connect(server)
    connection.request("POST", "/.range-server/settings", b'{"latncy": 1}')
    assert connection.getresponse().status == 400
    connection.close()
    assert server.requests == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        RangeServer(tmp_path / "missing")


def wait_until_refused(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.01)
    raise AssertionError(f"{url} still listens")


def test_it_stops(folder: Path) -> None:
    with RangeServer(folder) as server:
        assert ask(server).status == 200
    wait_until_refused(server.url)
    server.stop()  # again: no harm
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.requests


def test_it_ends_with_a_killed_parent(folder: Path) -> None:
    code = (
        "import sys, time\n"
        "from tests.helpers.range_server import RangeServer\n"
        "server = RangeServer(sys.argv[1])\n"
        "server.start()\n"
        "print(server.url, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        parent.send_signal(signal.SIGKILL)
    wait_until_refused(url)


def test_command_line(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.helpers.range_server", str(folder)]
    options = ["--port", "0", "--latency", "0.05", "--error-rate", "1", "--fault-paths", "/l*"]
    with subprocess.Popen(
        command + options, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        host = process.stdout.readline().strip().removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=10)
        for path, status in (("/small.bin", 200), ("/large.bin", 503)):
            start = time.perf_counter()
            connection.request("HEAD", path)
            response = connection.getresponse()
            response.read()
            assert response.status == status
            assert time.perf_counter() - start >= 0.05
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    refused = subprocess.run(
        [*command, "--latency", "-1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "latency must be >= 0" in refused.stderr


def test_fault_rates_are_kept() -> None:
    settings = Settings(error_rate=0.1, disconnect_rate=0.2, truncate_rate=0.3)
    drawn = [settings.fault(f"/{i}.tif", None, 0) for i in range(4000)]
    for fault, rate in (("error", 0.1), ("disconnect", 0.2), ("truncate", 0.3), ("", 0.4)):
        assert abs(drawn.count(fault) / 4000 - rate) < 0.03  # type: ignore[arg-type]
