"""Read all entries of directories, as they are in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from virtual_tiff.errors import InvalidTIFFError
from virtual_tiff.storage.budget import BUDGET_KINDS, Budget
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tags import FieldType
from virtual_tiff.tiff.ifd import ImageFileDirectory, TagEntry
from virtual_tiff.tiff.reader._chain import Entry, read_directory
from virtual_tiff.tiff.reader._layout import HEADER_BYTES, FileLayout, read_file_header
from virtual_tiff.tiff.reader._values import SIZES, charge, decode_text

type _Value = int | float | str | bytes | tuple[int, ...] | tuple[float, ...] | None

_BYTES = (FieldType.BYTE, FieldType.UNDEFINED)
_RATIONALS: dict[int, str] = {FieldType.RATIONAL: "u4", FieldType.SRATIONAL: "i4"}


async def with_tags(
    directories: Sequence[ImageFileDirectory], source: ByteSource
) -> tuple[ImageFileDirectory, ...]:
    """Return directories with all their entries; a value that cannot be read is `None`."""
    layout, _ = read_file_header(source.prefix[:HEADER_BYTES])
    # The header was charged already, and reading a value twice would count as an overlap.
    source.budget = Budget(source.budget.limits, source.size)
    known: dict[tuple[int, int, int], _Value] = {}
    found = []
    for directory in directories:
        raw, _ = await read_directory(source, layout, directory.position)
        tags = [await _entry(entry, source, layout, known) for entry in raw.entries]
        found.append(replace(directory, tags=tuple(tags)))
    return tuple(found)


async def _entry(
    entry: Entry,
    source: ByteSource,
    layout: FileLayout,
    known: dict[tuple[int, int, int], _Value],
) -> TagEntry:
    code, kind, count, _ = entry
    return TagEntry(
        code=code,
        name=_name(code),
        type=FieldType(kind).name if kind in SIZES else str(kind),
        count=count,
        value=await _value(entry, source, layout, known),
    )


def _name(code: int) -> str:
    # Imported here: only this needs the names of private tags.
    from tifffile import TIFF

    return TIFF.TAGS.get(code, str(code))


async def _value(
    entry: Entry,
    source: ByteSource,
    layout: FileLayout,
    known: dict[tuple[int, int, int], _Value],
) -> _Value:
    code, kind, count, data = entry
    if kind not in SIZES or not count:
        return None
    nbytes = SIZES[kind] * count
    if nbytes <= layout.inline:
        return _decoded(kind, count, data, layout.order)
    (at,) = layout.offset.unpack(data)
    key = (at, kind, count)
    if key not in known:
        known[key] = None
        if at + nbytes <= source.size:
            try:
                charge(source.budget, code, kind, count)
                known[key] = _decoded(kind, count, await source.read(at, nbytes), layout.order)
            except InvalidTIFFError as error:
                # Entries of private tags may overlap, and nothing depends on them.
                if error.kind not in BUDGET_KINDS:
                    raise
    return known[key]


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
