"""Threads that decode chunks."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import zarr


class DecodingThreads:
    """Decodes chunks in threads, each of which continues while chunks are waiting.

    A thread for each chunk would be woken, and would wake the event loop, once for each chunk.
    A thread does not wait for chunks: stores may need it to fetch them.

    Parameters
    ----------
    place
        Decodes a chunk into its place.
    most
        Chunks that wait at once; `has_room` waits for the threads if there are more.
    """

    def __init__(self, place: Callable[..., None], most: int) -> None:
        self._place = place
        self._most = most
        self._threads = zarr.config.get("threading.max_workers") or os.cpu_count() or 1
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._running: set[asyncio.Future[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._is_full = False

    @property
    def is_idle(self) -> bool:
        """Whether no chunk waits."""
        return not self._waiting

    def put(self, chunks: Iterable[tuple[Any, ...]]) -> None:
        """Decode chunks soon; raise what a chunk before raised."""
        self._waiting.extend(chunks)
        self._continue()

    async def has_room(self) -> None:
        """Wait while too many chunks wait; raise what a chunk before raised."""
        while len(self._waiting) >= self._most:
            self._room.clear()
            self._is_full = True
            await self._room.wait()
            self._continue()

    async def finish(self) -> None:
        """Wait until all chunks are decoded."""
        while self._running:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            self._continue()

    async def abandon(self) -> None:
        """Decode no further chunk, and wait until no thread writes any more."""
        self._waiting.clear()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _continue(self) -> None:
        """Forget threads that ended, and start some where chunks are waiting."""
        ended = [future for future in self._running if future.done()]
        self._running.difference_update(ended)
        # Of all that ended: asyncio logs an exception that is never asked for.
        failures = [failure for future in ended if (failure := future.exception())]
        if failures:
            raise failures[0]
        for _ in range(min(len(self._waiting), self._threads - len(self._running))):
            run = contextvars.copy_context().run
            future = self._loop.run_in_executor(None, run, self._work)
            future.add_done_callback(lambda _: self._room.set())
            self._running.add(future)

    def _work(self) -> None:
        while True:
            try:
                chunk = self._waiting.popleft()
            except IndexError:
                return
            if self._is_full and len(self._waiting) <= self._most // 2:
                self._is_full = False
                self._loop.call_soon_threadsafe(self._room.set)
            try:
                self._place(*chunk)
            except BaseException:
                self._waiting.clear()
                raise
