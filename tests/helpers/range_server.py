"""An HTTP server on loopback for tests and benchmarks: ranges, latency, faults, a request log.

It runs in a process of its own, so that it shares neither the event loop nor the interpreter
lock of what is measured::

    with RangeServer(folder, latency=0.03) as server:
        read(f"{server.url}/image.tif")
        assert [request.range for request in server.requests] == ["bytes=0-32767"]

From a shell: `python -m tests.helpers.range_server FOLDER --port 8000 --latency 0.03`; then
`GET /.range-server/requests` and `POST /.range-server/reset` or `/.range-server/settings` (JSON)
do what the attributes of the same names do.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import resource
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack

from tests.helpers.connection import CONTROL, Connection, Folder
from tests.helpers.http import Request, Settings

__all__ = ["RangeServer", "Request", "Settings", "Statistics"]

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0
_BACKLOG = 4096
_FILES = 65536


class SettingsDict(TypedDict, total=False):
    """The fields of `Settings`, as keyword arguments."""

    latency: float
    error_rate: float
    disconnect_rate: float
    truncate_rate: float
    stop_after: int | None
    fault_paths: str
    seed: int


class Statistics(TypedDict):
    """Connections opened and most requests at once since `reset`; CPU seconds since the start."""

    connections: int
    peak_waiting: int
    cpu_seconds: float


class RangeServer:
    """Serve a folder on 127.0.0.1 while the `with` block runs.

    Parameters
    ----------
    folder
        What to serve; files may change while it runs.
    port
        TCP port; 0 takes a free one.
    **settings
        Latency and faults; see `Settings`.

    Attributes
    ----------
    url
        Such as `http://127.0.0.1:40123`, without a slash at the end.

    Raises
    ------
    ValueError
        If a setting makes no sense.
    NotADirectoryError
        If there is no such folder.
    RuntimeError
        If the server does not start, or is gone.
    """

    url: str

    def __init__(
        self, folder: str | os.PathLike[str], *, port: int = 0, **settings: Unpack[SettingsDict]
    ) -> None:
        self._folder = Path(folder).resolve()
        if not self._folder.is_dir():
            raise NotADirectoryError(str(folder))
        self._port = port
        self._settings = Settings(**settings)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it listens."""
        root = Path(__file__).resolve().parents[2]
        options = [f"--port={self._port}", "--until-eof", "--settings=" + self._as_json()]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.range_server", str(self._folder), *options],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        timer = threading.Timer(_START_TIMEOUT, self._process.kill)
        timer.start()
        try:
            self.url = self._process.stdout.readline().strip()
        finally:
            timer.cancel()
        if not self.url:
            self.stop()
            raise RuntimeError(f"the server for {self._folder} did not start")

    def stop(self) -> None:
        """End the process; does nothing if it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        # The server ends when its standard input does: also when this process is killed.
        with process:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()

    @property
    def requests(self) -> list[Request]:
        """All requests answered since the start or the last `reset`, in order."""
        answer = self._control("GET", "requests")
        assert isinstance(answer, list)
        return [Request(*entry) for entry in answer]

    @property
    def statistics(self) -> Statistics:
        """How busy the server was."""
        answer: Statistics = self._control("GET", "statistics")  # type: ignore[assignment]
        return answer

    def reset(self) -> None:
        """Empty the log and count faults and `stop_after` from the start; settings stay."""
        self._control("POST", "reset")

    def configure(self, **settings: Unpack[SettingsDict]) -> None:
        """Change some settings while the server runs."""
        self._settings = replace(self._settings, **settings)
        self._control("POST", "settings", self._as_json())

    def _as_json(self) -> str:
        return json.dumps(asdict(self._settings))

    def _control(self, method: str, command: str, body: str | None = None) -> object:
        if self._process is None:
            raise RuntimeError("the server is not running")
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        try:
            connection.request(method, CONTROL + command, body)
            response = connection.getresponse()
            content = response.read()
        except OSError as error:
            raise RuntimeError(f"the server at {self.url} is gone") from error
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(content.decode())
        answer: object = json.loads(content)
        return answer


async def serve(folder: Path, port: int, settings: Settings, *, until_eof: bool) -> None:
    """Serve `folder`, print the URL, and go on until cancelled or standard input ends."""
    loop = asyncio.get_running_loop()
    shared = Folder(folder, settings)
    server = await loop.create_server(
        lambda: Connection(shared), "127.0.0.1", port, backlog=_BACKLOG
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    if until_eof:

        def read_stdin() -> None:
            if not os.read(0, 4096):
                ended.set()

        loop.add_reader(0, read_stdin)
    await ended.wait()


def main(arguments: list[str] | None = None) -> None:
    """Run the server in this process; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.helpers.range_server", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    for setting in fields(Settings):
        kind = {"latency": float, "seed": int, "stop_after": int, "fault_paths": str}
        flag = "--" + setting.name.replace("_", "-")
        parser.add_argument(flag, type=kind.get(setting.name, float), default=setting.default)
    parser.add_argument("--settings", type=json.loads, default={}, help=argparse.SUPPRESS)
    parser.add_argument("--until-eof", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    given = {setting.name: getattr(options, setting.name) for setting in fields(Settings)}
    try:
        settings = Settings(**(given | options.settings))
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _FILES if allowed == resource.RLIM_INFINITY else min(_FILES, allowed)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, allowed))
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.folder, options.port, settings, until_eof=options.until_eof))


if __name__ == "__main__":
    main()
