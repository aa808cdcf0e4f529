"""How chunks are fetched: the same values and errors, within the same limits."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
import zarr_chunkwise
from zarr.codecs import BytesCodec, ZstdCodec
from zarr.storage import MemoryStore
from zarr_chunkwise import _fetching, _local

from clients.python.tests.virtual_chunks import (
    COUNT,
    LENGTH,
    VALUES,
    Calls,
    chunkwise,
    expected,
    open_array,
    publish,
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source"
    file.write_bytes(VALUES.tobytes())
    return file


@pytest.fixture
def session(source: Path) -> icechunk.Session:
    return publish(source)


@pytest.fixture(autouse=True)
def not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """All chunks are fetched."""
    monkeypatch.setattr(_local, "_MANY", 10**9)


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A slow machine does not count as a network; with the parameter 0, any does."""
    monkeypatch.setattr(_fetching, "_NEAR", getattr(request, "param", 60))


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("concurrency", [1, 2, 3, 10, 128, None])
def test_several_chunks_in_one_call(
    concurrency: int | None, session: icechunk.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    array = open_array(session, concurrency)
    with chunkwise(concurrency):
        assert np.array_equal(array[...], expected())
    most = min(8, (concurrency or COUNT) // 2)
    assert max(calls.batches, default=1) == max(1, most)
    assert calls.most_at_once <= (concurrency or COUNT)
    if most == 8:
        # The missing ones are asked for again: `None` may be an error.
        assert calls.single <= 30


def test_chunks_over_a_network_do_not_wait_for_each_other(
    session: icechunk.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch, latency=0.1)
    array = open_array(session)
    with chunkwise():
        start = time.perf_counter()
        assert np.array_equal(array[...], expected())
    assert calls.batches == []
    assert calls.single == COUNT
    assert calls.most_at_once > 90
    assert time.perf_counter() - start < 5  # one after the other: 10 s


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("change", ["rewritten", "shorter", "gone"])
def test_sources_that_changed_raise_as_by_default(
    change: str, session: icechunk.Session, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "gone":
        source.unlink()
    else:
        source.write_bytes(VALUES.tobytes()[: -1 if change == "rewritten" else LENGTH * 50])
    default = zarr.open_array(session.store, mode="r")
    array = open_array(session)
    with pytest.raises(Exception) as by_default:  # noqa: PT011  # compared below
        default[...]
    calls = Calls(monkeypatch)
    with chunkwise(), pytest.raises(type(by_default.value)):
        array[...]
    # The second chunk, asked for alone, may raise first.
    assert calls.batches or change == "gone"


@pytest.mark.usefixtures("near")
def test_a_call_that_fails_is_repeated_one_by_one(
    session: icechunk.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(icechunk.IcechunkStore, "get_partial_values", fail)
    array = open_array(session)
    with chunkwise():
        assert np.array_equal(array[...], expected())


class Single(MemoryStore):
    """Gives one value at a time."""

    async def get_partial_values(self, *_: Any) -> Any:
        raise NotImplementedError


def test_other_stores_are_asked_for_one_chunk_at_a_time() -> None:
    with chunkwise():
        array = zarr.create_array(Single(), data=np.arange(1000), chunks=(10,))
        assert np.array_equal(array[...], np.arange(1000))


@pytest.mark.usefixtures("near")
def test_a_cancelled_read_leaves_nothing_running(
    session: icechunk.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = open_array(session)
    calls = Calls(monkeypatch, latency=0.02)
    placed: list[float] = []
    place = zarr_chunkwise.ChunkwiseCodecPipeline._place

    def slow(*arguments: Any, **options: Any) -> None:
        time.sleep(0.005)
        placed.append(time.perf_counter())
        place(*arguments, **options)

    monkeypatch.setattr(zarr_chunkwise.ChunkwiseCodecPipeline, "_place", slow)

    async def cancel() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await array.async_array.getitem(...)

    with chunkwise():
        asyncio.run(cancel())
    ended = time.perf_counter()
    assert calls.at_once == 0
    time.sleep(0.1)
    assert len(placed) < COUNT
    assert all(moment < ended for moment in placed)


@pytest.mark.parametrize("near", [0, 60], ids=["far", "near"], indirect=True)
def test_a_result_is_freed_with_its_last_reference(near: None, session: icechunk.Session) -> None:
    """Not with the next collection of garbage: results are large."""
    array = open_array(session)
    gc.collect()
    gc.disable()
    try:
        with chunkwise():
            result = weakref.ref(array[...])
        # A thread that decoded may end a little later.
        ends = time.perf_counter() + 5
        while result() is not None and time.perf_counter() < ends:
            time.sleep(0.01)
        assert result() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_make_room_for_more_chunks(concurrency: int, threads: int) -> None:
    """Fetching goes on while threads decode, and never stops."""
    with chunkwise(concurrency), zarr.config.set({"threading.max_workers": threads}):
        array = zarr.create_array(
            {},
            data=np.arange(400),
            chunks=(1,),
            serializer=BytesCodec(),
            compressors=ZstdCodec(),
        )
        for _ in range(3):
            assert np.array_equal(array[...], np.arange(400))


@pytest.mark.skipif(sys.platform != "linux", reason="memory of glibc")
def test_freed_memory_is_used_again() -> None:
    # Where they are set, and by Dask they are, glibc keeps to them.
    set_by_hand = ("GLIBC_TUNABLES", "MALLOC_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(set_by_hand)}
    script = """
import platform, resource, sys
import numpy as np
from zarr_chunkwise._fetching import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.ones(120 << 10, "u2")
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
fresh = faults()
keep_freed_memory()
kept = faults()
print(platform.libc_ver()[0] != "glibc" or kept < fresh / 10, fresh, kept)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.stdout.startswith("True"), (done.stdout, done.stderr)
