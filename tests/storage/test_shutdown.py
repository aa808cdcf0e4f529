"""The wait at the end of a process; `docs/design/upstream.md` has what it works around."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from virtual_tiff.storage import shutdown


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the state of threads")
def test_it_lasts_while_a_thread_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def busy() -> bool:
        seen.append(1)
        return len(seen) < 3

    monkeypatch.setattr(shutdown, "_is_busy", busy)
    shutdown.wait_for_threads()
    assert len(seen) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the state of threads")
def test_a_thread_that_runs_is_noticed() -> None:
    import zlib

    stop = threading.Event()
    data = bytes(50_000_000)

    def run() -> None:
        while not stop.is_set():
            zlib.crc32(data)  # without the interpreter lock

    thread = threading.Thread(target=run)
    thread.start()
    try:
        found = []
        for _ in range(50):
            time.sleep(0.01)
            found.append(shutdown._is_busy())
        assert any(found)
    finally:
        stop.set()
        thread.join()


def test_it_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "_LONGEST", 0.1)
    monkeypatch.setattr(shutdown, "_is_busy", lambda: True)
    began = time.monotonic()
    shutdown.wait_for_threads()
    assert time.monotonic() - began < 30
