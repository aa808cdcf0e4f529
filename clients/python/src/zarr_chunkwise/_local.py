"""Read chunks of local files in the threads that decode them.

For each chunk, Icechunk's threads wake each other four times and copy the bytes twice, which takes
as long as a fifth of the decoding. Icechunk tells where chunks are, so that the bytes can be read
without it, but not of which version of the file they are, nor whether it may be read. While
threads decode, it therefore fetches the first chunk of each file, and refuses a file that was
changed. The chunks count if the bytes are the same, and the open file is still the one of the path,
unchanged, after the last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from zarr.buffer import cpu

from zarr_chunkwise._fetching import FEW, is_of_icechunk

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer

# Chunks of an array that are looked through for each one that is wanted. Icechunk lists all.
_MOST_LISTED = 8
# Chunks of a file from which on it is opened.
_MANY = 8
_VIRTUAL = 2  # Icechunk's ChunkType
_KEY = re.compile(r"(?:(.*)/)?c((?:/\d+)+)")
_URL = "file://"


class LocalFiles:
    """Open files, with chunks of an array."""

    def __init__(self) -> None:
        #: Chunks by the number of their item.
        self.chunks: dict[int, LocalChunk] = {}
        #: Whether a chunk ended early.
        self.are_short = False
        #: Whether a file is not the one that the store reads.
        self._are_others = False
        #: Number of the item of the first chunk of each file.
        self._firsts: list[int] = []
        #: Paths and states of open files.
        self._files: dict[int, tuple[str, tuple[int, ...]]] = {}

    @classmethod
    async def of(cls, items: Sequence[Any]) -> Self:
        """Open the files that hold many of the chunks; none if they cannot be read so."""
        files = cls()
        if len(items) < FEW or not hasattr(os, "pread") or not is_of_icechunk(items[0]):
            return files
        for path, found in (await _places(items)).items():
            if len(found) >= _MANY:
                files._open(path, found)
        return files

    def _open(self, path: str, found: Sequence[tuple[int, int, int]]) -> None:
        # A pipe would wait for a writer, and devices may do anything.
        with suppress(OSError):
            state = os.stat(path)
            if S_ISREG(state.st_mode):
                file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                self._files[file] = path, _state(state)
                self._firsts.append(found[0][0])
                for number, *place in found:
                    self.chunks[number] = LocalChunk(self, file, *place)

    async def check(self, items: Sequence[Any]) -> None:
        """Compare the first chunk of each file with what the store returns.

        Raises
        ------
        Exception
            Error of the store, which knows which version of a file was published.
        """
        for number in self._firsts:
            getter, spec, *_ = items[number]
            expected = await getter.get(prototype=spec.prototype)
            found = self.chunks[number].read()
            if expected is None or found is None or expected.to_bytes() != found.to_bytes():
                self._are_others = True

    def are_same(self) -> bool:
        """Return whether all chunks are of files that were not changed since they were opened."""
        wrong = self.are_short or self._are_others
        return not wrong and all(map(self._is_same, self._files))

    def _is_same(self, file: int) -> bool:
        path, state = self._files[file]
        try:
            return _state(os.fstat(file)) == state == _state(os.stat(path))
        except OSError:
            return False

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            os.close(file)
        self._files.clear()


@dataclass(frozen=True, slots=True)
class LocalChunk:
    """A chunk in an open file."""

    files: LocalFiles
    file: int
    offset: int
    length: int

    def read(self) -> Buffer | None:
        """Return the bytes; `None`, which `files` notes, if the file ends before."""
        data = os.pread(self.file, self.length, self.offset)
        if len(data) == self.length:
            return cpu.Buffer.from_bytes(data)
        self.files.are_short = True
        return None


def _state(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


async def _places(items: Sequence[Any]) -> dict[str, list[tuple[int, int, int]]]:
    """Return number, offset and length of the chunks of each local file; none if it takes long."""
    store = items[0][0].store
    list_chunks: Callable[..., Any] | None = getattr(store, "array_chunk_iterator", None)
    keys = [_KEY.fullmatch(item[0].path) for item in items]
    first = keys[0]
    if list_chunks is None or first is None or not store.read_only or not _has_files(store):
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
                name = unquote(path.removeprefix(_URL))
                found.setdefault(name, []).append((number, offset, length))
        listed += len(paths)
        if listed >= most:
            return {}
    return found


def _has_files(store: Any) -> bool:
    """Return whether chunks of a repository may be in local files.

    To list those of others would fetch parts of manifests that a read does not need.
    """
    containers = store.session.config.virtual_chunk_containers or {}
    return any(prefix.startswith(_URL) for prefix in containers)
