"""The bytes of one TIFF: those of the first GET, and a store for the rest."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from obspec import GetOptions, ObjectMeta

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.storage.budget import Budget, Limits
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.header_checksum import header_checksum
from virtual_tiff.storage.resolve import Store
from virtual_tiff.storage.source import Source
from virtual_tiff.storage.version import FileVersion

#: Reads beyond the first GET are extended to whole blocks of this many bytes, since a header at the
#: end of a file is read in many small steps.
BLOCK_SIZE = 64 * 1024
#: Bytes of the largest block: those that follow each other double in size, so that thousands of
#: small pages, one after the other, take some dozens of requests.
LARGEST_BLOCK = 1024 * 1024
#: Bytes that are cached of reads beyond the first GET.
CACHE_SIZE = 32 * 1024 * 1024
#: Bytes of a block of reads from threads, where they are small.
SMALL_BLOCK = 512
#: Requests of `read_ahead` that are in flight.
_READ_AHEAD = 32


class ByteSource:
    """Random access to a TIFF whose first bytes were fetched already.

    Implements the parts of obspec that obspec-utils' readers use (`get_range`, `get_ranges`,
    `head`). Their `path` arguments are ignored, since this object is one file.

    Parameters
    ----------
    store, path
        Store and path for further bytes.
    source
        URL, size, ETag and time of last change, from the first GET.
    prefix
        The bytes of the first GET, from offset 0.
    limits
        Of what reading the file may cost.

    Attributes
    ----------
    budget
        What reading the file has cost so far.
    failure
        The last error of a read from a thread, since libraries may hide it.
    """

    failure: VirtualTIFFError | None = None

    def __init__(
        self,
        store: Store,
        path: str,
        source: Source,
        prefix: bytes,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        self.path = path
        self.source = source
        self.prefix = prefix
        self._version = FileVersion(store, path, source)
        self.budget = Budget(limits or Limits(), source.size)
        self._extents: OrderedDict[int, bytes] = OrderedDict()
        #: Sorted keys of `_extents`.
        self._starts: list[int] = []
        self._cached_bytes = 0
        #: Start and end of the block that was read last.
        self._last = (0, 0)

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return self.source.size

    def peek(self, start: int, length: int) -> bytes | None:
        """Return `length` bytes from `start` if they need no request."""
        end = start + length
        if end <= len(self.prefix):
            return self.prefix[start:end]
        return self._lookup(start, end) if self._extents else None

    def holds(self, start: int, length: int) -> bool:
        """Return whether a read takes no request."""
        return self._lookup(start, min(start + length, self.size)) is not None

    def checksum(self) -> str:
        """Return the checksum of the bytes that were read so far, without a request."""
        # Extents may begin within the first GET, and be evicted while a thread still reads.
        further = sorted(self._extents.copy().items())
        return header_checksum([(0, self.prefix), *further])

    # -- asynchronous ------------------------------------------------------------------

    async def read(self, start: int, length: int) -> bytes:
        """Return up to `length` bytes from `start`; fewer only at the end of the file."""
        end = min(start + length, self.size)
        cached = self._lookup(start, end)
        if cached is not None:
            return cached
        first, last = self._blocks(start, end)
        data = await self._fetch(first, last)
        self._remember(first, data)
        return data[start - first : end - first]

    async def read_ahead(self, starts: Sequence[int], length: int) -> None:
        """Fetch and cache `length` bytes from each of `starts`, concurrently.

        Both ends are at a multiple of `SMALL_BLOCK`, as the reads from threads are.
        """

        async def fetch(start: int) -> None:
            first = start // SMALL_BLOCK * SMALL_BLOCK
            end = min(-(-(start + length) // SMALL_BLOCK) * SMALL_BLOCK, self.size)
            if first < end and self._lookup(first, end) is None:
                self._remember(first, await self._fetch(first, end))

        await in_flight(starts, _READ_AHEAD, fetch)

    async def _fetch(self, start: int, end: int) -> bytes:
        with self.budget.waiting():
            return await self._version.read(start, end)

    async def read_uncached(self, start: int, length: int) -> bytes:
        """Return exactly `length` bytes from `start`, for pixels that are needed once."""
        end = start + length
        if end <= len(self.prefix):
            return self.prefix[start:end]
        return await self._fetch(start, end)

    # -- from threads ------------------------------------------------------------------

    def read_sync(self, start: int, length: int) -> bytes:
        """Do the same as `read`, from a thread other than that of the event loop."""
        end = min(start + length, self.size)
        cached = self._lookup(start, end)
        if cached is not None:
            return cached
        first, last = self._blocks(start, end)
        try:
            data = self._version.read_sync(first, last)
        except VirtualTIFFError as error:
            self.failure = error
            raise
        self._remember(first, data)
        return data[start - first : end - first]

    def get(self, path: str, *, options: GetOptions | None = None) -> NoReturn:
        """Refuse, since reading a header never needs a whole file."""
        raise AssertionError("a header reader requested the whole file")

    def get_range(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        """Serve obspec's GetRange."""
        ends = None if end is None else [end]
        lengths = None if length is None else [length]
        return self.read_sync(*_ranges([start], ends, lengths)[0])

    def get_ranges(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[bytes]:
        """Serve obspec's GetRanges; neighbouring ranges become one request."""
        ranges = _ranges(starts, ends, lengths)
        runs: list[list[int]] = []
        for start, length in ranges:
            if runs and runs[-1][1] == start:
                runs[-1][1] = start + length
            else:
                runs.append([start, start + length])
        blocks = {start: self.read_sync(start, end - start) for start, end in runs}
        out = []
        for start, length in ranges:
            first = max(s for s in blocks if s <= start)
            out.append(blocks[first][start - first : start - first + length])
        return out

    def head(self, path: str) -> ObjectMeta:
        """Answer from the first GET, without a request."""
        return {
            "path": self.path,
            "size": self.size,
            "e_tag": self.source.etag,
            # The time that obstore gives where a server tells none.
            "last_modified": self.source.last_modified or datetime.fromtimestamp(0, UTC),
            "version": None,
        }

    # -- cache -------------------------------------------------------------------------

    def _lookup(self, start: int, end: int) -> bytes | None:
        if end <= max(start, len(self.prefix)):
            return self.prefix[start:end]
        # Extents can overlap: the last that begins before, and the block that contains the start.
        at = bisect_right(self._starts, start)
        for first in (*self._starts[max(0, at - 1) : at], start // BLOCK_SIZE * BLOCK_SIZE):
            data = self._extents.get(first, b"")
            if first <= start and end <= first + len(data):
                return data[start - first : end - first]
        return None

    def _blocks(self, start: int, end: int) -> tuple[int, int]:
        """Return the whole blocks to read; more of them if they follow those read before."""
        first = start // BLOCK_SIZE * BLOCK_SIZE
        last = -(-end // BLOCK_SIZE) * BLOCK_SIZE
        if first <= self._last[1] <= end:
            last = max(last, first + min(2 * (self._last[1] - self._last[0]), LARGEST_BLOCK))
        self._last = (first, last)
        return first, min(last, self.size)

    def _remember(self, first: int, data: bytes) -> None:
        if first in self._extents:
            self._cached_bytes -= len(self._extents.pop(first))
        else:
            insort(self._starts, first)
        self._extents[first] = data
        self._cached_bytes += len(data)
        while self._cached_bytes > CACHE_SIZE and len(self._extents) > 1:
            gone, old = self._extents.popitem(last=False)
            self._starts.remove(gone)
            self._cached_bytes -= len(old)


def _ranges(
    starts: Sequence[int], ends: Sequence[int] | None, lengths: Sequence[int] | None
) -> list[tuple[int, int]]:
    if lengths is None:
        if ends is None:
            raise AssertionError("neither ends nor lengths were given")
        lengths = [end - start for start, end in zip(starts, ends, strict=True)]
    return list(zip(starts, lengths, strict=True))
