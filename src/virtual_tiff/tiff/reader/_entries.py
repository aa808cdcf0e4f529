"""Read all entries of directories, as they are in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from virtual_tiff.errors import InvalidTIFFError
from virtual_tiff.storage.budget import BUDGET_KINDS, Budget
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tags import FieldType
from virtual_tiff.tiff.ifd import ImageFileDirectory, TagEntry, TagValue
from virtual_tiff.tiff.reader._chain import Entry, read_directory
from virtual_tiff.tiff.reader._layout import HEADER_BYTES, FileLayout, read_file_header
from virtual_tiff.tiff.reader._values import SIZES, charge, decode_text

type _Value = TagValue | None

_BYTES = (FieldType.BYTE, FieldType.UNDEFINED)
_RATIONALS: dict[int, str] = {FieldType.RATIONAL: "u4", FieldType.SRATIONAL: "i4"}
#: Tags with the offset of a directory that describes no image (Exif 2.32 section 4.6.3, and that of
#: Dectris), and what tifffile calls the names of its tags.
_EXIF = {34665: "EXIF_TAGS", 34853: "GPS_TAGS", 40965: "IOP_TAGS", 51192: "DECTRIS_TAGS"}
_OFFSETS = (FieldType.LONG, FieldType.IFD, FieldType.LONG8, FieldType.IFD8)
#: Texts that have the type UNDEFINED (Exif 2.32 section 4.6.5).
_EXIF_TEXTS = ("ExifVersion", "FlashpixVersion")


async def with_tags(
    directories: Sequence[ImageFileDirectory], source: ByteSource
) -> tuple[ImageFileDirectory, ...]:
    """Return directories with all their entries; a value that cannot be read is `None`."""
    layout, _ = read_file_header(source.prefix[:HEADER_BYTES])
    # The header was charged already, and reading a value twice would count as an overlap.
    source.budget = Budget(source.budget.limits, source.size)
    reader = _Reader(source, layout)
    found = []
    for directory in directories:
        raw, _ = await read_directory(source, layout, directory.position)
        tags = [await reader.entry(entry) for entry in raw.entries]
        found.append(replace(directory, tags=tuple(tags)))
    return tuple(found)


class _Reader:
    """Reads the entries of one file; what several share, once."""

    def __init__(self, source: ByteSource, layout: FileLayout) -> None:
        self._source = source
        self._layout = layout
        self._values: dict[tuple[int, int, int], _Value] = {}
        self._exif: dict[tuple[int, int], Mapping[str, _Value] | None] = {}

    async def entry(self, entry: Entry) -> TagEntry:
        """Read one entry of the directory of an image."""
        code, kind, count, _ = entry
        value = await self._value(entry)
        within = None
        if code in _EXIF and kind in _OFFSETS and isinstance(value, int):
            within = await self._directory(code, value)
        return TagEntry(
            code=code,
            name=_name(code),
            type=FieldType(kind).name if kind in SIZES else str(kind),
            count=count,
            value=value if within is None else within,
        )

    async def _directory(self, code: int, position: int) -> Mapping[str, _Value] | None:
        """Read the entries of a directory of Exif; `None` if there is none.

        Directories within it stay offsets, so that none can contain itself.
        """
        key = (code, position)
        if key not in self._exif:
            self._exif[key] = None
            try:
                raw, _ = await read_directory(self._source, self._layout, position)
            except InvalidTIFFError:
                return None
            found = {}
            for entry in raw.entries:
                name = _names(_EXIF[code]).get(entry[0], str(entry[0]))
                found[name] = _exif_text(name, await self._value(entry))
            self._exif[key] = found
        return self._exif[key]

    async def _value(self, entry: Entry) -> _Value:
        code, kind, count, data = entry
        if kind not in SIZES or not count:
            return None
        nbytes = SIZES[kind] * count
        if nbytes <= self._layout.inline:
            return _decoded(kind, count, data, self._layout.order)
        (at,) = self._layout.offset.unpack(data)
        key = (at, kind, count)
        if key not in self._values:
            self._values[key] = None
            if at + nbytes <= self._source.size:
                try:
                    charge(self._source.budget, code, kind, count)
                    content = await self._source.read(at, nbytes)
                    self._values[key] = _decoded(kind, count, content, self._layout.order)
                except InvalidTIFFError as error:
                    # Entries of private tags may overlap, and nothing depends on them.
                    if error.kind not in BUDGET_KINDS:
                        raise
        return self._values[key]


def _name(code: int) -> str:
    # Imported here: only this needs the names of private tags.
    from tifffile import TIFF

    return TIFF.TAGS.get(code, str(code))


def _names(registry: str) -> Mapping[int, str]:
    from tifffile import TIFF

    found: Mapping[int, str] = getattr(TIFF, registry)
    return found


def _exif_text(name: str, value: _Value) -> _Value:
    """Decode a text of Exif that has the type UNDEFINED."""
    if not isinstance(value, bytes):
        return value
    if name in _EXIF_TEXTS:
        return decode_text(value.partition(b"\0")[0])
    if name == "UserComment" and value[:8] == b"ASCII\0\0\0":
        return decode_text(value[8:].partition(b"\0")[0])
    if name == "UserComment" and value[:8] == b"UNICODE\0":
        try:
            return value[8:].decode("utf-16").rstrip("\0")
        except UnicodeDecodeError:
            return value
    return value


def _decoded(kind: int, count: int, data: bytes, order: str) -> _Value:
    if kind == FieldType.ASCII:
        return decode_text(data[:count].rstrip(b"\0"))
    if kind in _BYTES:
        return data[:count]
    form = _RATIONALS.get(kind)
    if form is not None:
        return tuple(np.frombuffer(data, order + form, 2 * count).tolist())
    dtype = np.dtype(FieldType(kind).form).newbyteorder("<" if order == "<" else ">")
    values = np.frombuffer(data, dtype, count).tolist()
    return values[0] if count == 1 else tuple(values)
