"""An array of virtual chunks of a local file in Icechunk, and how it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
import zarr_chunkwise

COUNT, LENGTH = 100, 600  # longer chunks than Icechunk keeps in its manifests
VALUES = np.random.default_rng(0).integers(0, 250, COUNT * LENGTH).astype("u1")


@contextmanager
def chunkwise(concurrency: int | None = 128) -> Iterator[None]:
    path = "zarr_chunkwise.ChunkwiseCodecPipeline"
    with zarr.config.set({"codec_pipeline.path": path, "async.concurrency": concurrency}):
        yield


def publish(
    source: Path,
    checksum: datetime | None = None,
    checksums: Mapping[int, datetime] | None = None,
    *,
    places: Mapping[int, tuple[int, int]] | None = None,
    address: str | None = None,
    count: int = COUNT,
    sources: Sequence[Path] = (),
    compressors: Any = None,
    writes: bool = False,
) -> icechunk.Session:
    """Write an array of chunks of a file; each tenth is stored, each seventh is missing.

    Parameters
    ----------
    source
        File.
    checksum
        Time of the last change that all chunks have but those of `checksums`.
    checksums
        Of single chunks.
    places
        Offset and length of single chunks.
    address
        Of the file, if it is not its own.
    count
        Chunks.
    sources
        Files of which each has the same number of successive chunks, in place of `source`.
    compressors
        Of the array.
    writes
        Whether the session may write.
    """
    config = icechunk.RepositoryConfig.default()
    config.inline_chunk_threshold_bytes = 10
    prefix = f"file://{source.parent}/"
    store = icechunk.local_filesystem_store(str(source.parent))
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, store))
    access = icechunk.containers_credentials({prefix: icechunk.Credentials.LocalFileSystemAccess()})
    repository = icechunk.Repository.create(
        icechunk.in_memory_storage(), config=config, authorize_virtual_chunk_access=access
    )
    session = repository.writable_session("main")
    array = zarr.create_array(
        session.store,
        shape=(count * LENGTH,),
        chunks=(LENGTH,),
        dtype="u1",
        fill_value=255,
        compressors=compressors,
    )
    for number in range(count):
        if number % 10 == 0 and not sources:
            start = number * LENGTH
            array[start : start + LENGTH] = VALUES[start : start + LENGTH]
        elif number % 7 or sources:
            file = sources[number * len(sources) // count] if sources else source
            offset, length = (places or {}).get(number, (number % COUNT * LENGTH, LENGTH))
            session.store.set_virtual_ref(
                f"c/{number}",
                address or file.as_uri(),
                offset=offset,
                length=length,
                checksum=(checksums or {}).get(number, checksum),
            )
    session.commit("array")
    return repository.writable_session("main") if writes else repository.readonly_session("main")


def expected(values: Any = VALUES) -> Any:
    """Return the values of the array, if the file has others."""
    rows = VALUES.copy().reshape(COUNT, LENGTH)
    for number in range(COUNT):
        if number % 10:
            rows[number] = values.reshape(COUNT, LENGTH)[number] if number % 7 else 255
    return rows.ravel()


def open_array(session: icechunk.Session, concurrency: int | None = 128) -> Any:
    with chunkwise(concurrency):
        array = zarr.open_array(session.store, mode="r")
    assert type(array.async_array.codec_pipeline) is zarr_chunkwise.ChunkwiseCodecPipeline
    return array


class Calls:
    """Replaces both ways to read chunks of Icechunk's stores, and counts keys."""

    def __init__(self, patch: pytest.MonkeyPatch, latency: float = 0) -> None:
        self.batches: list[int] = []
        self.single = 0
        #: Chunks of which a byte was asked for, and no more.
        self.bytes = 0
        self.at_once = self.most_at_once = 0
        self.latency = latency
        for name in ("get", "get_partial_values"):
            original = getattr(icechunk.IcechunkStore, name)
            patch.setattr(icechunk.IcechunkStore, name, self.counted(original, name))

    def counted(self, original: Any, name: str) -> Any:
        async def call(store: Any, *arguments: Any, **options: Any) -> Any:
            if name == "get_partial_values":
                keys = sum(part is None for _, part in arguments[1])
                self.bytes += len(arguments[1]) - keys
                self.batches.append(keys)
            else:
                keys = int(arguments[0].startswith("c/"))
                self.single += keys
            self.at_once += keys
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(self.latency)
                return await original(store, *arguments, **options)
            finally:
                self.at_once -= keys

        return call
