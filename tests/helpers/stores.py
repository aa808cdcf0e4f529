"""Stores that note what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import MemoryStore

from tests.helpers.read import MEMORY_URL


class RecordingStore:
    """Passes requests on to a store, and notes method and byte range of each.

    What the parser does not use is not here, so that using it fails.

    Parameters
    ----------
    store
        A store of obstore.
    before
        Called with the number of each request, from 0, before it is passed on.
    """

    def __init__(self, store: Any, before: Callable[[int], None] | None = None) -> None:
        self._store = store
        self._before = before
        self.requests: list[tuple[str, tuple[int, int] | None]] = []
        #: Whether each GET asked for one version of the file.
        self.conditional: list[bool] = []

    def _note(self, method: str, span: tuple[int, int] | None) -> None:
        if self._before is not None:
            self._before(len(self.requests))
        self.requests.append((method, span))

    async def get_async(self, path: str, *, options: Any = None) -> Any:
        self._note("GET", (options or {}).get("range"))
        self.conditional.append(bool({"if_match", "if_unmodified_since"} & set(options or {})))
        return await self._store.get_async(path, options=options)

    def get(self, path: str, *, options: Any = None) -> Any:
        self._note("GET", (options or {}).get("range"))
        self.conditional.append(bool({"if_match", "if_unmodified_since"} & set(options or {})))
        return self._store.get(path, options=options)

    def get_range(self, path: str, *, start: int, end: int | None = None) -> Any:
        self._note("GET", None if end is None else (start, end))
        return self._store.get_range(path, start=start, end=end)

    async def get_range_async(self, path: str, *, start: int, end: int | None = None) -> Any:
        self._note("GET", None if end is None else (start, end))
        return await self._store.get_range_async(path, start=start, end=end)

    def head(self, path: str) -> Any:
        self._note("HEAD", None)
        return self._store.head(path)

    async def head_async(self, path: str) -> Any:
        self._note("HEAD", None)
        return await self._store.head_async(path)

    def list(self, prefix: str | None = None, **options: Any) -> Any:
        self._note("LIST", None)
        return self._store.list(prefix, **options)


def recording(
    data: bytes, before: Callable[[int], None] | None = None
) -> tuple[RecordingStore, ObjectStoreRegistry[Any], MemoryStore]:
    """Put a file at `MEMORY_URL`: the noting store, its registry, and the store behind it."""
    memory = MemoryStore()
    memory.put(MEMORY_URL.rsplit("/", 1)[-1], data)
    store = RecordingStore(memory, before)
    return store, ObjectStoreRegistry({"memory://tests": store}), memory
