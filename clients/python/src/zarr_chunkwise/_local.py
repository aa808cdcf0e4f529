"""Read chunks of local files in the threads that decode them.

For each chunk, Icechunk's threads wake each other four times and copy the bytes twice, which takes
as long as a fifth of the decoding. Icechunk tells where chunks are, so that the bytes can be read
without it, but not of which version of the file they are, nor whether it may be read. While
threads decode, it therefore fetches the first chunk of each file and a byte of every other chunk,
each of which has a checksum of its own, and refuses those of a file that was changed. The chunks
count if the bytes are the same, and the files are still those of their paths, unchanged, after the
last. If anything is wrong, Icechunk fetches all, and raises its own error. What it accepted is not
asked again while the file is unchanged: a session that does not write always has the same chunks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import batched
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from zarr.abc.store import RangeByteRequest
from zarr.buffer import cpu

from zarr_chunkwise._fetching import BYTES_OR_NONE, FEW, is_of_icechunk

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer

# Chunks of an array that are looked through for each one that is wanted. Icechunk lists all.
_MOST_LISTED = 8
# Chunks of a file from which on it is opened.
_MANY = 8
_KEYS = 64  # of one call
_MOST_ACCEPTED = 100_000  # chunks that are remembered for an array
_BYTE = RangeByteRequest(0, 1)
type State = tuple[int, ...]

_VIRTUAL = 2  # Icechunk's ChunkType
_KEY = re.compile(r"(?:(.*)/)?c((?:/\d+)+)")
_URL = "file:///"


class Accepted:
    """Chunks of an array that the store has checked, by their files. Other processes begin anew."""

    def __init__(self) -> None:
        self._store: Any = None
        #: State of a file, and the keys of its chunks.
        self._files: dict[str, tuple[State, set[str]]] = {}

    def __reduce__(self) -> Any:
        return Accepted, ()

    def __contains__(self, chunk: tuple[str, State, str]) -> bool:
        path, state, key = chunk
        found = self._files.get(path)
        return found is not None and found[0] == state and key in found[1]

    def of(self, store: Any) -> Self:
        """Forget the chunks of another store."""
        if store is not self._store:
            self._store, self._files = store, {}
        return self

    def add(self, path: str, state: State, keys: Sequence[str]) -> None:
        """Remember chunks, if there are not too many."""
        if self._files.get(path, (None,))[0] != state:
            self._files[path] = state, set()
        if sum(len(found) for _, found in self._files.values()) + len(keys) <= _MOST_ACCEPTED:
            self._files[path][1].update(keys)


class LocalFiles:
    """Files that hold chunks of an array."""

    def __init__(self, items: Sequence[Any], accepted: Accepted) -> None:
        self._items = items
        self._accepted = accepted
        #: Chunks by the number of their item.
        self.chunks: dict[int, LocalChunk] = {}
        #: Whether the store has to fetch all chunks.
        self.are_wrong = False
        #: Numbers of the items of the first chunks of the files.
        self._firsts: set[int] = set()
        #: States of the files by their paths.
        self._states: dict[str, State] = {}

    @classmethod
    async def of(cls, items: Sequence[Any], accepted: Accepted) -> Self:
        """Find the files that hold many of the chunks; none if they cannot be read so."""
        files = cls(items, accepted)
        if len(items) < FEW or not hasattr(os, "pread") or not is_of_icechunk(items[0]):
            return files
        places: dict[str, list[tuple[int, int, int]]] = {}
        # Manifests that no chunk needs may be missing.
        with suppress(Exception):
            places = await _places(items)
        for path, found in places.items():
            if len(found) >= _MANY:
                files._add(path, found)
        return files

    def _add(self, path: str, found: Sequence[tuple[int, int, int]]) -> None:
        # No path has a null character.
        with suppress(OSError, ValueError):
            state = os.stat(path)
            # A pipe would wait for a writer, and devices may do anything.
            if S_ISREG(state.st_mode):
                self._states[path] = _state(state)
                inside = [place for place in found if place[1] + place[2] <= state.st_size]
                self._firsts.update(number for number, *_ in inside[:1])
                for number, offset, length in inside:
                    self.chunks[number] = LocalChunk(self, path, offset, length)

    async def check(self) -> None:
        """Have the store check the chunks, and compare the first one of each file."""
        if not self.chunks:
            return
        store = self._items[0][0].store
        known = self._accepted.of(store)
        numbers = [n for n, c in self.chunks.items() if self._name(n, c) not in known]
        for group in batched(numbers, _KEYS):
            keys = [(self._key(n), None if n in self._firsts else _BYTE) for n in group]
            found = await store.get_partial_values(BYTES_OR_NONE, keys)
            for number, expected in zip(group, found, strict=True):
                if expected is None or (number in self._firsts and self._differs(number, expected)):
                    self.are_wrong = True
                    return

    def _key(self, number: int) -> str:
        return self._items[number][0].path  # type: ignore[no-any-return]

    def _name(self, number: int, chunk: LocalChunk) -> tuple[str, State, str]:
        return chunk.path, self._states[chunk.path], self._key(number)

    def _differs(self, number: int, expected: Buffer) -> bool:
        found = self.chunks[number].read()
        return found is None or found.to_bytes() != expected.to_bytes()

    def read(self, path: str, offset: int, length: int) -> bytes | None:
        """Return bytes of a file; `None` if it is not the one that was found."""
        with suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            # Closed at once: other threads and Icechunk need some of the few that may be open.
            try:
                if _state(os.fstat(file)) == self._states[path]:
                    return os.pread(file, length, offset)
            finally:
                os.close(file)
        return None

    def are_same(self) -> bool:
        """Return whether all chunks are of files that were not changed since they were found."""
        if self.are_wrong or not all(map(self._is_same, self._states)):
            return False
        keys: dict[str, list[str]] = {}
        for number, chunk in self.chunks.items():
            keys.setdefault(chunk.path, []).append(self._key(number))
        for path, found in keys.items():
            self._accepted.add(path, self._states[path], found)
        return True

    def _is_same(self, path: str) -> bool:
        try:
            return _state(os.stat(path)) == self._states[path]
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class LocalChunk:
    """A chunk in a file."""

    files: LocalFiles
    path: str
    offset: int
    length: int

    def read(self) -> Buffer | None:
        """Return the bytes; `None`, which `files` notes, if the store has to fetch them."""
        data = None
        if not self.files.are_wrong:
            data = self.files.read(self.path, self.offset, self.length)
        if data is not None and len(data) == self.length:
            return cpu.Buffer.from_bytes(data)
        self.files.are_wrong = True
        return None


def _state(found: os.stat_result) -> State:
    """Return what changes with a file; its mode and owner change the time of the last status."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


async def _places(items: Sequence[Any]) -> dict[str, list[tuple[int, int, int]]]:
    """Return number, offset and length of the chunks of each local file; none if it takes long."""
    store = items[0][0].store
    list_chunks: Callable[..., Any] | None = getattr(store, "array_chunk_iterator", None)
    keys = [_KEY.fullmatch(item[0].path) for item in items]
    first = keys[0]
    if list_chunks is None or first is None or not _is_suited(store.session):
        return {}
    wanted = {
        tuple(map(int, key[2].split("/")[1:])): number
        for number, key in enumerate(keys)
        if key is not None and key[1] == first[1]
    }
    found: dict[str, list[tuple[int, int, int]]] = {}
    listed = 0
    most = _MOST_LISTED * len(items)
    async for coordinates, kinds, paths, offsets, lengths, _ in list_chunks(
        f"/{first[1] or ''}", most
    ):
        rows = zip(
            *(coordinates.tolist(), kinds.tolist(), paths, offsets.tolist(), lengths.tolist()),
            strict=True,
        )
        for place, kind, path, offset, length in rows:
            number = wanted.get(tuple(place))
            if number is not None and kind == _VIRTUAL and path.startswith(_URL):
                name = unquote(path[len("file://") :])
                found.setdefault(name, []).append((number, offset, length))
        listed += len(paths)
        if listed >= most:
            return {}
    return found


def _is_suited(session: Any) -> bool:
    """Return whether a session does not write, and may have chunks in local files.

    To list the chunks of others would fetch parts of manifests that a read does not need.
    """
    containers = session.config.virtual_chunk_containers or {}
    return session.read_only and any(prefix.startswith(_URL) for prefix in containers)
