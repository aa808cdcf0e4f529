"""Read the chain of directories: offsets and raw entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.storage.budget import BUDGET_KINDS
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tiff.reader._layout import (
    HEADER_BYTES,
    NDPI,
    FileLayout,
    read_file_header,
    truncated,
)

#: Entries of one directory: TIFF 6.0 allows 65,535, real files have some dozens.
MAX_ENTRIES = 4096
#: Bytes that are read of a directory that is apart from the one before: some dozens of entries,
#: and their values, which most writers put behind them.
SPREAD_BYTES = 4096
#: Most directories that are read ahead, at regular distances.
_MOST_AHEAD = 128
#: A private tag of every directory of NDPI slides.
_NDPI_FORMAT = 65420
#: Bytes of memory that a directory takes besides its values, with the plan of its image.
DIRECTORY_BYTES = 4096

#: Tag, field type, count and value field (the value, or its offset).
type Entry = tuple[int, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries of a directory in the order of the file, whose values are not read yet."""

    position: int
    layout: FileLayout
    content: bytes

    @property
    def entries(self) -> Iterator[Entry]:
        """Each entry; decoded anew, since tuples take 15 times the memory of the bytes."""
        return self.layout.entry.iter_unpack(self.content)


@dataclass(frozen=True, slots=True)
class Chain:
    """The main chain of directories, in order, and why it ends early, if it does.

    `following` is the offset of the first that was not read; 0 if there is none. `note` says that
    the chain ends where it returns to a directory, for all readers.
    """

    layout: FileLayout
    directories: tuple[Directory, ...]
    damage: InvalidTIFFError | None
    following: int = 0
    note: str | None = None


class _Spread:
    """Offsets at which the next directories are expected, where planes lie between them."""

    def __init__(self) -> None:
        self._last = 0
        self._gap = 0
        self._until = 0
        self._count = 0
        self._ahead = 4

    def expected(self, position: int, limit: int | None) -> list[int]:
        """Return offsets to read ahead, from `position` on, the offset of the next directory.

        Parameters
        ----------
        position
            Offset of the next directory.
        limit
            Number of directories that are needed.
        """
        gap, self._last = position - self._last, position
        self._count += 1
        is_regular, self._gap = gap == self._gap, gap
        if gap < SPREAD_BYTES or not is_regular:
            self._ahead, self._until = 4, position
            # The first is in the bytes of the first GET, or at the end of the file.
            return [position] if self._count > 2 and gap >= SPREAD_BYTES else []
        if position < self._until:
            return []
        self._ahead = min(2 * self._ahead, _MOST_AHEAD)
        steps = self._ahead if limit is None else min(self._ahead, limit - self._count + 1)
        self._until = position + steps * gap
        return [position + i * gap for i in range(steps)]


async def read_chain(source: ByteSource, last: int | None = None) -> Chain:
    """Follow the chain from the header of the file, to the directory `last` if it is given."""
    layout, position = read_file_header(source.prefix[:HEADER_BYTES])
    if (ndpi := await _ndpi_start(source, layout)) is not None:
        layout, position = NDPI, ndpi
    directories: list[Directory] = []
    seen: set[int] = set()
    spread = _Spread()
    damage = note = None
    while position and (last is None or len(directories) <= last):
        if position in seen:
            note = f"the chain of directories returns to offset {position}, where it ends."
            position = 0
            break
        try:
            if ahead := spread.expected(position, None if last is None else last + 1):
                await source.read_ahead(ahead, SPREAD_BYTES)
            directory, following = await read_directory(source, layout, position)
        except InvalidTIFFError as error:
            error.at(url=source.source.url, ifd=(len(directories),))
            if not directories or error.kind in BUDGET_KINDS:
                raise
            damage = error
            break
        seen.add(position)
        directories.append(directory)
        position = following
    if not directories:
        raise InvalidTIFFError("the file has no image file directory.")
    return Chain(layout, tuple(directories), damage, following=0 if damage else position, note=note)


async def _ndpi_start(source: ByteSource, layout: FileLayout) -> int | None:
    """Return the offset of the first directory of an NDPI slide; `None` for other files."""
    head = source.prefix[layout.first : layout.first + NDPI.offset.size]
    if layout.big_tiff or layout.order == ">" or len(head) < NDPI.offset.size:
        return None
    (position,) = NDPI.offset.unpack(head)
    if not HEADER_BYTES - 4 <= position < source.size:
        return None
    start = position + NDPI.count.size
    data = source.peek(position, NDPI.count.size)
    # A classic TIFF has anything in these four bytes, which is no offset beyond 4 GB by chance.
    if data is None and position < 2**32 and not source.path.lower().endswith(".ndpi"):
        return None
    data = await source.read(position, NDPI.count.size) if data is None else data
    (count,) = NDPI.count.unpack(data) if len(data) == NDPI.count.size else (0,)
    if not 0 < count <= MAX_ENTRIES:
        return None
    entries = await source.read(start, count * NDPI.entry.size)
    whole = len(entries) == count * NDPI.entry.size
    is_ndpi = whole and any(entry[0] == _NDPI_FORMAT for entry in NDPI.entry.iter_unpack(entries))
    return position if is_ndpi else None


async def read_directory(
    source: ByteSource, layout: FileLayout, position: int
) -> tuple[Directory, int]:
    """Read the entries of one directory and the offset of the next (0: none)."""
    start = position + layout.count.size
    head = source.peek(position, layout.count.size)
    if head is None:
        head = await source.read(position, layout.count.size)
    if len(head) < layout.count.size:
        raise truncated(f"the directory at offset {position} lies")
    (count,) = layout.count.unpack(head)
    if not 0 < count <= MAX_ENTRIES:
        raise InvalidTIFFError(
            f"the directory at offset {position} has {count} entries.", kind=ErrorKind.INVALID_IFD
        )
    size = count * layout.entry.size
    source.budget.add_directory()
    source.budget.read(size)
    source.budget.keep(DIRECTORY_BYTES + size)
    body = source.peek(start, size + layout.offset.size)
    if body is None:
        body = await source.read(start, size + layout.offset.size)
    if len(body) < size:
        raise truncated(f"the directory at offset {position} reaches")
    # Some writers end the file after the last entry: there is no next directory.
    rest = body[size:]
    following = layout.offset.unpack(rest)[0] if len(rest) == layout.offset.size else 0
    return Directory(position, layout, body[:size]), following
