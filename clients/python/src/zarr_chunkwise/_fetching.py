"""Fetch chunks: several keys in one call where that takes less time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.abc.buffer import BufferPrototype
from zarr.buffer import cpu
from zarr.storage import StorePath

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer

    from zarr_chunkwise._threads import DecodingThreads

# Keys of one call. Icechunk requests ten of a call at once.
_MOST_KEYS = 8
FEW = 4 * _MOST_KEYS  # fewer chunks are fetched one by one
_NEAR = 0.005  # seconds until a chunk has arrived that does not come over a network
# Largest block for which glibc raises the size up to which it keeps freed memory: 32 MiB with the
# header of the block, in whole pages.
_LARGEST_KEPT = 32 * 1024 * 1024 - 8192


class _BytesOrNone(cpu.Buffer):
    """A buffer that accepts the `None` of Icechunk for a chunk that it could not read."""

    @classmethod
    def from_bytes(cls, bytes_like: Any) -> Any:
        """Make a buffer of bytes; return `None` for `None`."""
        return None if bytes_like is None else cpu.Buffer.from_bytes(bytes_like)


BYTES_OR_NONE = BufferPrototype(buffer=_BytesOrNone, nd_buffer=cpu.NDBuffer)


async def fetch_all(items: Sequence[Any], most: int, decoding: DecodingThreads) -> list[bool]:
    """Fetch chunks in order, and have them decoded.

    Parameters
    ----------
    items
        Location, `ArraySpec` and two selections of each chunk, and more that is ignored.
    most
        Chunks that are requested at once.
    decoding
        Threads that decode.

    Returns
    -------
    list
        Whether each chunk exists.

    Raises
    ------
    Exception
        Error of the store or a codec for the first chunk that fails. No further chunks are
        requested then.
    """
    fetching = _Fetching(items, most, decoding)
    failures: Sequence[BaseException] = ()
    try:
        await fetching.run()
    except BaseExceptionGroup as group:
        failures = group.exceptions
    if failures:
        raise failures[0]
    return fetching.present


class _Fetching:
    """Workers that fetch chunks: two at first, and more while no chunk waits to be decoded.

    Functions that refer to each other would keep the result in memory until the next collection.
    """

    def __init__(self, items: Sequence[Any], most: int, decoding: DecodingThreads) -> None:
        self.present = [False] * len(items)
        # Workers share it, so that millions of chunks do not need millions of tasks.
        self._waiting = iter(enumerate(items))
        self._keys = _keys_at_once(items, most)
        self._room = min(most, len(items))  # keys that further workers may request
        self._decoding = decoding
        self._arrived = asyncio.Event()
        self._workers = asyncio.TaskGroup()

    async def run(self) -> None:
        """Fetch all chunks."""
        async with self._workers:
            if self._keys > 1:
                self._start(1)
                self._start(1)
                if not await _is_near(self._arrived):
                    self._room += 2 * (self._keys - 1)
                    self._keys = 1
            if self._keys == 1:
                while self._room:
                    self._start(1)

    def _start(self, keys: int) -> None:
        self._room -= self._keys
        self._workers.create_task(self._work(keys))

    async def _work(self, keys: int) -> None:
        while group := list(islice(self._waiting, keys)):
            chunks = await _fetch([item[0] for _, item in group], group[0][1][1].prototype)
            self._arrived.set()
            if self._decoding.is_idle and self._room >= self._keys > 1:
                self._start(self._keys)
            found = []
            for (number, item), chunk in zip(group, chunks, strict=True):
                self.present[number] = chunk is not None
                found.append((chunk, *item[1:4]))
            self._decoding.put(found)
            # Decoded chunks must not stay in memory until the next ones arrive.
            del chunks, chunk, found
            await self._decoding.has_room()
            keys = min(2 * keys, self._keys)


def _keys_at_once(items: Sequence[Any], most: int) -> int:
    """Return how many chunks one call should ask for.

    Icechunk alone needs less time for several: a call changes between Python and the threads of
    Tokio once. In other stores `get_partial_values` does the same as `get`, does not use a cache,
    hides errors or is not implemented.
    """
    if len(items) < FEW:
        return 1
    return max(1, min(_MOST_KEYS, most // 2)) if is_of_icechunk(items[0]) else 1


def is_of_icechunk(item: Any) -> bool:
    """Return whether a chunk is in a store of Icechunk, and wanted as plain bytes."""
    getter, spec, *_ = item
    is_plain = spec.prototype.buffer is cpu.Buffer and isinstance(getter, StorePath)
    return is_plain and type(getter.store).__module__.partition(".")[0] == "icechunk"


async def _is_near(arrived: asyncio.Event) -> bool:
    """Return whether chunks arrive at once. Over a network, none should wait for seven others."""
    try:
        async with asyncio.timeout(_NEAR):
            await arrived.wait()
    except TimeoutError:
        return False
    return True


async def _fetch(getters: Sequence[Any], prototype: Any) -> list[Buffer | None]:
    """Fetch chunks of one store, in order."""
    if len(getters) == 1:
        return [await getters[0].get(prototype=prototype)]
    keys = [(getter.path, None) for getter in getters]
    chunks: list[Buffer | None] = [None] * len(keys)
    with suppress(Exception):
        chunks = await getters[0].store.get_partial_values(BYTES_OR_NONE, keys)
    for number, chunk in enumerate(chunks):
        if chunk is None:
            # Missing, or an error, which only `get` tells.
            chunks[number] = await getters[number].get(prototype=prototype)
    return chunks


@cache
def keep_freed_memory() -> None:
    """Let glibc use freed memory of chunks again, in place of returning it to the kernel.

    Blocks of more than 128 KiB come from the kernel, page by page and cleared, until one of up to
    32 MiB has been freed: from then on smaller ones are kept and used again (mallopt(3),
    `M_MMAP_THRESHOLD`). No page of this one is touched. Other C libraries ignore it.
    """
    np.empty(_LARGEST_KEPT, np.uint8)
