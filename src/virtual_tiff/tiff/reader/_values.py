"""Read the values of the entries of regular directories.

Unusual directories, such as those with a value beyond the end of the file, an unknown field type in
a relevant tag, or the formats of some microscopes, are read by tifffile, which supports many
writers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.storage.budget import Budget
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tags import FieldType, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory
from virtual_tiff.tiff.reader._alike import MANY_DIRECTORIES, Alike
from virtual_tiff.tiff.reader._build import NEEDED, Shared, build_ifd, whole_numbers
from virtual_tiff.tiff.reader._chain import Directory, Entry, read_directory
from virtual_tiff.tiff.reader._layout import FileLayout

#: Tags whose values stay arrays.
SEGMENT_TAGS = frozenset(
    {Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS, Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS}
)
_PARSED_TEXTS = frozenset({Tag.GDAL_METADATA, Tag.GEO_ASCII_PARAMS})
#: Number of values from which they are read as an array, not a tuple.
MANY_VALUES = 64
#: Bytes that a plan takes for each segment, whose tables several directories may share.
_PLANNED_BYTES = 16
#: Sub-IFDs of one directory, and levels of nesting. Pyramids have some dozens and one.
MAX_SUB_IFDS = 65_536
MAX_DEPTH = 4
#: Tags of formats that violate TIFF 6.0: Zeiss LSM, MetaMorph STK, Hamamatsu NDPI.
_BENT = frozenset({34412, 33629, 65420})

SIZES: dict[int, int] = {int(kind): kind.size for kind in FieldType}
_NUMBERS: dict[int, str] = {kind: kind.form for kind in FieldType if kind.form in tuple("HIhifdQq")}
_BYTES = frozenset({FieldType.BYTE, FieldType.UNDEFINED})
_RATIONALS: dict[int, str] = {FieldType.RATIONAL: "I", FieldType.SRATIONAL: "i"}


class Unusual(Exception):
    """A directory that tifffile has to read."""


class Values:
    """Reads the values of the directories of one file; what several share, once."""

    def __init__(self, source: ByteSource, layout: FileLayout, *, directories: int = 1) -> None:
        self._source = source
        self._layout = layout
        self._read: dict[tuple[int, int, int], Any] = {}
        self._shared = Shared()
        self._alike = Alike(self, layout) if directories >= MANY_DIRECTORIES else None

    async def read(
        self, directory: Directory, index: tuple[int, ...], seen: set[int]
    ) -> ImageFileDirectory:
        """Read the values of one directory and, through SubIFDs, of those below it.

        The offsets of those below are added to `seen`. Raise `Unusual` for one as the module
        describes.
        """
        if self._layout.is_ndpi:
            # The upper halves of values are apart from their entries.
            raise Unusual
        if self._alike is not None:
            alike = self._alike.find(directory, index)
            if alike is not None:
                return self._counted(alike)
        tags: dict[int, Any] = {}
        for entry in directory.entries:
            code = entry[0]
            if code in _BENT:
                raise Unusual
            # Of several entries of one tag, use the first (like libtiff and tifffile).
            # An entry without values counts as absent.
            if code in NEEDED and code not in tags and entry[2]:
                value = self.at_hand(entry)
                tags[code] = await self._fetched(entry) if value is None else value
        sub_ifds: tuple[ImageFileDirectory, ...] = ()
        notes: list[str] = []
        if Tag.SUB_IFDS in tags:
            positions = whole_numbers(tags.pop(Tag.SUB_IFDS), Tag.SUB_IFDS, index).tolist()
            sub_ifds = await self._sub_ifds(positions, index, seen, notes)
        built = build_ifd(
            tags,
            index=index,
            position=directory.position,
            byte_order=self._layout.byte_order,
            sub_ifds=sub_ifds,
            notes=tuple(notes),
            shared=self._shared,
        )
        if self._alike is not None:
            self._alike.add(directory, built)
        return self._counted(built)

    def _counted(self, directory: ImageFileDirectory) -> ImageFileDirectory:
        """Count what a directory takes besides its values."""
        if directory.offsets.size > MANY_VALUES:
            self._source.budget.keep(_PLANNED_BYTES * directory.offsets.size)
        self._source.budget.check()
        return directory

    async def _sub_ifds(
        self, positions: list[int], index: tuple[int, ...], seen: set[int], notes: list[str]
    ) -> tuple[ImageFileDirectory, ...]:
        found = []
        for i, position in sub_positions(positions, index, seen):
            try:
                directory, _ = await read_directory(self._source, self._layout, position)
                found.append(await self.read(directory, (*index, i), seen))
            except InvalidTIFFError as error:
                notes.append(unreadable(i, error))
        return tuple(found)

    def at_hand(self, entry: Entry) -> Any:
        """Return a number, text, bytes, or a sequence of numbers; `None` if it must be fetched."""
        code, kind, count, data = entry
        size = SIZES.get(kind)
        if size is None:
            raise Unusual
        nbytes = size * count
        if nbytes <= self._layout.inline:
            return _decoded(kind, count, data, self._layout.order)
        (at,) = self._layout.offset.unpack(data)
        key = (at, kind, count)
        value = self._read.get(key)
        if value is None:
            if at + nbytes > self._source.size:
                raise Unusual
            charge(self._source.budget, code, kind, count)
            found = self._source.peek(at, nbytes)
            if found is None:
                return None
            value = self._read[key] = _decoded(kind, count, found, self._layout.order)
        return value

    async def _fetched(self, entry: Entry) -> Any:
        """Fetch a value that `at_hand` did not have."""
        _, kind, count, data = entry
        (at,) = self._layout.offset.unpack(data)
        data = await self._source.read(at, SIZES[kind] * count)
        value = self._read[at, kind, count] = _decoded(kind, count, data, self._layout.order)
        return value

    def content(self, entry: Entry) -> bytes | None:
        """Return the bytes of a value that is apart from its entry; `None` if it is not."""
        _, kind, count, data = entry
        nbytes = SIZES[kind] * count
        if nbytes <= self._layout.inline:
            return None
        (at,) = self._layout.offset.unpack(data)
        return self._source.peek(at, nbytes)

    def has(self, entry: Entry, content: bytes, value: Any) -> bool:
        """Return whether the value of an entry has these bytes, which mean `value`."""
        _, kind, count, data = entry
        (at,) = self._layout.offset.unpack(data)
        key = (at, kind, count)
        found = self._read.get(key)
        if found is None and self._source.peek(at, len(content)) == content:
            self._source.budget.read(len(content))
            found = self._read[key] = value
        return found is value


def charge(budget: Budget, tag: int, kind: int, count: int) -> None:
    """Count a value that is read for the first time."""
    nbytes = SIZES[kind] * count
    budget.read(nbytes)
    if tag in SEGMENT_TAGS:
        budget.keep(nbytes + (8 * count if count > MANY_VALUES else 40 * count))
    else:
        # Texts become texts and attributes, those of XML and GeoKeys also parts of them; other
        # values become Python numbers, and tiepoints GCPs of them.
        each = 150 if tag == Tag.MODEL_TIEPOINT else 40
        texts = 4 if tag in _PARSED_TEXTS else 3
        budget.keep(texts * nbytes if kind == FieldType.ASCII else nbytes + each * count)


def unreadable(i: int, error: InvalidTIFFError) -> str:
    """Return the note on a damaged sub-IFD; the image itself can be read.

    Raises the error if it says that a file is malicious.
    """
    if error.kind in (ErrorKind.HEADER_TOO_LARGE, ErrorKind.IFD_CYCLE):
        raise error
    return f"sub-IFD {i} cannot be read, and is left out."


def sub_positions(
    positions: list[int], index: tuple[int, ...], seen: set[int]
) -> Iterator[tuple[int, int]]:
    """Yield index and offset of sub-IFDs; refuse too many, too deep, or read before."""
    if len(index) > MAX_DEPTH or len(positions) > MAX_SUB_IFDS:
        raise InvalidTIFFError(
            f"{len(positions)} sub-IFDs at depth {len(index)}.",
            kind=ErrorKind.HEADER_TOO_LARGE,
            ifd=index,
            tag=Tag.SUB_IFDS,
        )
    for i, position in enumerate(positions):
        if position in seen:
            raise InvalidTIFFError(
                f"SubIFDs leads back to the directory at offset {position}.",
                kind=ErrorKind.IFD_CYCLE,
                ifd=index,
                tag=Tag.SUB_IFDS,
            )
        if position:
            seen.add(position)
            yield i, position


def _decoded(kind: int, count: int, data: bytes, order: str) -> Any:
    """Decode the bytes of a value: a number, text, bytes, or a sequence of numbers."""
    form = _NUMBERS.get(kind)
    if form is not None:
        if count == 1:
            return struct.unpack_from(order + form, data)[0]
        if count > MANY_VALUES:
            return np.frombuffer(data, order + np.dtype(form).str[1:], count)
        return struct.unpack_from(f"{order}{count}{form}", data)
    if kind == FieldType.ASCII:
        return decode_text(data[:count])
    if kind in _BYTES:
        return data[:count]
    if kind == FieldType.SBYTE:
        signed = np.frombuffer(data, np.int8, count)
        return signed if count > MANY_VALUES else tuple(signed.tolist())
    if count > MANY_VALUES:
        pairs = np.frombuffer(data, order + _RATIONALS[kind], 2 * count).reshape(-1, 2)
        ratios = np.full(count, np.nan)
        return np.divide(pairs[:, 0], pairs[:, 1], out=ratios, where=pairs[:, 1] != 0)
    numbers = struct.unpack_from(f"{order}{2 * count}{_RATIONALS[kind]}", data)
    fractions = tuple(
        numerator / denominator if denominator else float("nan")
        for numerator, denominator in zip(numbers[::2], numbers[1::2], strict=True)
    )
    return fractions[0] if count == 1 else fractions


def decode_text(data: bytes) -> str:
    """Decode ASCII (TIFF 6.0 section 2), or UTF-8 or Windows-1252, which some writers use."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
