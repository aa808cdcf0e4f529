"""Chunks of local files that threads read themselves: the same values, and errors for others."""

from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from zarr_chunkwise import _local

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

OTHERS = 255 - VALUES


def written(folder: Path, name: str = "source") -> Path:
    file = folder / name
    file.write_bytes(VALUES.tobytes())
    # A day ago, so that a change has another time.
    os.utime(file, (1.7e9, 1.7e9))
    return file


def time_of(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


@pytest.mark.parametrize("name", ["source", "a b", "a%20b", "ä#?[1]"])
def test_threads_read_what_icechunk_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, name)
    session = publish(file, time_of(file))
    calls = Calls(monkeypatch)
    array = open_array(session)
    before = len(os.listdir("/proc/self/fd"))
    with chunkwise():
        assert np.array_equal(array[...], expected())
    assert len(os.listdir("/proc/self/fd")) == before
    # Those that are stored or missing, and the first of the file.
    others = sum(number % 10 == 0 or number % 7 == 0 for number in range(COUNT))
    fetched = calls.single + sum(calls.batches)
    assert fetched < COUNT / 2
    assert calls.bytes == COUNT - others - 1
    # The file is unchanged, so that nothing is checked again.
    with chunkwise():
        assert np.array_equal(array[...], expected())
    assert calls.bytes == COUNT - others - 1
    # Another process asks for itself.
    pipeline = array.async_array.codec_pipeline
    assert pipeline._accepted._files
    assert pickle.loads(pickle.dumps(pipeline))._accepted._files == {}


def test_each_chunk_has_a_checksum_of_its_own(tmp_path: Path) -> None:
    file = written(tmp_path)
    old = datetime.fromtimestamp(1.6e9, UTC)
    array = open_array(publish(file, time_of(file), {71: old}))
    with chunkwise():
        assert np.array_equal(array[: 71 * LENGTH], expected()[: 71 * LENGTH])
        for _ in range(2):
            with pytest.raises(icechunk.IcechunkError, match="checksum"):
                array[...]


def test_a_file_that_is_rewritten_between_reads(tmp_path: Path) -> None:
    file = written(tmp_path)
    array = open_array(publish(file, time_of(file)))
    with chunkwise():
        assert np.array_equal(array[...], expected())
        rewrite(file)
        with pytest.raises(icechunk.IcechunkError, match="checksum"):
            array[...]
        # Of the same size and time, as Icechunk sees it.
        os.utime(file, (1.7e9, 1.7e9))
        assert np.array_equal(array[...], expected(OTHERS))


def test_a_file_that_was_changed_is_no_error_of_a_codec(tmp_path: Path) -> None:
    """Threads decode what they read before Icechunk has refused it."""
    file = written(tmp_path)
    array = open_array(publish(file, time_of(file), compressors=zarr.codecs.ZstdCodec()))
    os.utime(file)
    with chunkwise(), pytest.raises(icechunk.IcechunkError, match="checksum"):
        array[...]


def test_few_files_may_be_open(tmp_path: Path) -> None:
    """Icechunk opens files too; as many as there are would leave none for it."""
    files = [written(tmp_path, str(number)) for number in range(300)]
    array = open_array(publish(files[0], count=3000, sources=files))
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        with chunkwise(16):
            assert np.asarray(array[...]).shape == (3000 * LENGTH,)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@pytest.mark.parametrize("place", [(2**63, LENGTH), (0, 2**62), (0, 10**13), (COUNT * LENGTH, 1)])
def test_places_that_no_file_has(place: tuple[int, int], tmp_path: Path) -> None:
    file = written(tmp_path)
    array = open_array(publish(file, places={71: place}))
    with chunkwise(), pytest.raises(icechunk.IcechunkError, match="range"):
        array[...]


def test_an_address_that_is_no_path(tmp_path: Path) -> None:
    file = written(tmp_path)
    session = publish(file, address=f"{file.as_uri()}%00")
    with pytest.raises(icechunk.IcechunkError) as by_default:
        zarr.open_array(session.store, mode="r")[...]
    array = open_array(session)
    with chunkwise(), pytest.raises(type(by_default.value)):
        array[...]


def test_places_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest of chunks that are not wanted may be missing, for example."""
    array = open_array(publish(written(tmp_path)))

    def listing(*_: Any) -> Any:
        raise icechunk.IcechunkError("object not found")

    monkeypatch.setattr(icechunk.IcechunkStore, "array_chunk_iterator", listing)
    with chunkwise():
        assert np.array_equal(array[...], expected())


@pytest.mark.parametrize("change", ["rewritten", "shorter", "gone", "a folder"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_file_that_was_changed(change: str, checked: bool, tmp_path: Path) -> None:
    file = written(tmp_path)
    session = publish(file, time_of(file) if checked else None)
    if change in ("gone", "a folder"):
        file.unlink()
    if change == "a folder":
        file.mkdir()
    if change == "rewritten":
        file.write_bytes(OTHERS.tobytes())
    if change == "shorter":
        file.write_bytes(VALUES.tobytes()[: LENGTH * 50])
    default = zarr.open_array(session.store, mode="r")
    array = open_array(session)
    if change == "rewritten" and not checked:
        # Nothing tells.
        with chunkwise():
            assert np.array_equal(array[...], default[...])
        return
    with pytest.raises(Exception) as by_default:  # noqa: PT011  # compared below
        default[...]
    with chunkwise(), pytest.raises(type(by_default.value)):
        array[...]


def rewrite(file: Path) -> None:
    file.write_bytes(OTHERS.tobytes())


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(OTHERS.tobytes())
    other.replace(file)


def truncate(file: Path) -> None:
    os.truncate(file, LENGTH * 30)


@pytest.mark.parametrize("change", [rewrite, replace, truncate, Path.unlink])
def test_a_file_that_changes_while_it_is_read(
    change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path)
    array = open_array(publish(file, time_of(file)))
    reads = changing(monkeypatch, lambda: change(file))
    with chunkwise(), pytest.raises(icechunk.IcechunkError):
        array[...]
    assert len(reads) >= 20


def test_a_file_that_is_replaced_by_another_that_icechunk_takes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path)
    array = open_array(publish(file))
    reads = changing(monkeypatch, lambda: replace(file))
    with chunkwise():
        values = array[...]
    assert len(reads) >= 20
    # Of the first chunk nothing tells which version it is.
    assert np.array_equal(values[2 * LENGTH :], expected(OTHERS)[2 * LENGTH :])


def changing(patch: pytest.MonkeyPatch, change: Callable[[], None]) -> list[int]:
    """Change a file before its 20th chunk is read."""
    original = os.pread
    reads: list[int] = []

    def pread(*place: int) -> bytes:
        reads.append(0)
        if len(reads) == 20:
            change()
        return original(*place)

    patch.setattr(os, "pread", pread)
    return reads


def test_a_session_that_writes_is_left_to_icechunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the array is opened for reading: its chunks may change."""
    file = written(tmp_path)
    session = publish(file, writes=True)
    monkeypatch.setattr(os, "pread", None)
    array = open_array(session)
    assert array.store.read_only
    with chunkwise():
        assert np.array_equal(array[...], expected())


def test_a_part_of_a_large_array_is_left_to_icechunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All chunks of an array are listed, so that few of many would take longer."""
    array = open_array(publish(written(tmp_path)))
    monkeypatch.setattr(_local, "_MOST_LISTED", 1)
    monkeypatch.setattr(os, "pread", None)
    with chunkwise():
        assert np.array_equal(array[: LENGTH * 40], expected()[: LENGTH * 40])


def test_chunks_that_are_in_no_files_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an archive in an object store that would fetch manifests that are not needed."""
    config = icechunk.RepositoryConfig.default()
    prefix = "http://localhost:1/"
    store = icechunk.http_store()
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
    repository = icechunk.Repository.create(icechunk.in_memory_storage(), config=config)
    session = repository.writable_session("main")
    zarr.create_array(session.store, data=VALUES, chunks=(LENGTH,))
    session.commit("array")
    array = open_array(repository.readonly_session("main"))
    listed: list[str] = []
    original = icechunk.IcechunkStore.array_chunk_iterator

    def listing(store: Any, path: str, *options: Any) -> Any:
        listed.append(path)
        return original(store, path, *options)

    monkeypatch.setattr(icechunk.IcechunkStore, "array_chunk_iterator", listing)
    with chunkwise():
        assert np.array_equal(array[...], VALUES)
    assert listed == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    files = _local.LocalFiles([], _local.Accepted())
    files._add(str(pipe), [(0, 0, 3), (1, 3, 3)])
    assert files.chunks == {}
    files._states[str(pipe)] = ()
    assert files.read(str(pipe), 0, 3) is None


def test_a_file_that_the_store_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path of an address may be another one for the store."""
    file = written(tmp_path)
    (tmp_path / "other").write_bytes(OTHERS.tobytes())
    array = open_array(publish(file))
    add = _local.LocalFiles._add
    monkeypatch.setattr(
        _local.LocalFiles,
        "_add",
        lambda files, path, found: add(files, str(tmp_path / "other"), found),
    )
    with chunkwise():
        assert np.array_equal(array[...], expected())


@pytest.mark.parametrize("path", ["c/1", "a/c/0/c/12", "c/c/3"])
def test_keys(path: str) -> None:
    found = _local._KEY.fullmatch(path)
    assert found is not None
    assert found[1] == (path.rpartition("/c/")[0] or None)
