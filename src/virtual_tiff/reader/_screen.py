"""A bounded look at the directory entries, to choose the library that reads them.

async-tiff 0.7 panics on a missing SamplesPerPixel, PhotometricInterpretation or BitsPerSample and
on values outside its enumerations, follows cyclic chains for ever, and allocates whatever a count
asks for; see docs/design/upstream.md. This module reads nothing but the entries themselves and the
few short values that matter, mostly from bytes that are already here, and vouches only for
directories that async-tiff is known to read. Everything else goes to tifffile.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.reader._geo_keys import ASYNC_TIFF_GEO_KEYS
from virtual_tiff.reader._source import ByteSource
from virtual_tiff.tags import FieldType, Tag

#: Tags beyond which a directory is not a directory: TIFF 6.0 allows 65,535, real files have
#: some dozens.
MAX_ENTRIES = 4096
#: Directories of one file.
MAX_DIRECTORIES = 1_000_000
#: Offsets from which tifffile and NumPy are faster than async-tiff's Python lists.
MANY_SEGMENTS = 16_384
#: Bytes of tag values that one directory may ask for.
MAX_VALUE_BYTES = 512 * 1024 * 1024
#: Bytes of one value that is neither offsets nor byte counts, for async-tiff.
MAX_SMALL_VALUE_BYTES = 1024 * 1024

_SIZES = {int(t): t.size for t in FieldType}
_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_INTEGERS = frozenset({FieldType.SHORT, FieldType.LONG, FieldType.LONG8})
_SHORT = frozenset({FieldType.SHORT})
_ASCII = frozenset({FieldType.ASCII})
_DOUBLE = frozenset({FieldType.DOUBLE})
_RATIONAL = frozenset({FieldType.RATIONAL})
_BYTES = frozenset({FieldType.BYTE, FieldType.UNDEFINED})

#: Types with which async-tiff reads each tag that it gives a meaning to.
_TYPES: dict[int, frozenset[FieldType]] = {
    Tag.NEW_SUBFILE_TYPE: _INTEGERS,
    Tag.IMAGE_WIDTH: _INTEGERS,
    Tag.IMAGE_LENGTH: _INTEGERS,
    Tag.BITS_PER_SAMPLE: _SHORT,
    Tag.COMPRESSION: _SHORT,
    Tag.PHOTOMETRIC_INTERPRETATION: _SHORT,
    Tag.DOCUMENT_NAME: _ASCII,
    Tag.IMAGE_DESCRIPTION: _ASCII,
    Tag.STRIP_OFFSETS: _INTEGERS,
    Tag.ORIENTATION: _SHORT,
    Tag.SAMPLES_PER_PIXEL: _SHORT,
    Tag.ROWS_PER_STRIP: _INTEGERS,
    Tag.STRIP_BYTE_COUNTS: _INTEGERS,
    Tag.MIN_SAMPLE_VALUE: _SHORT,
    Tag.MAX_SAMPLE_VALUE: _SHORT,
    Tag.X_RESOLUTION: _RATIONAL,
    Tag.Y_RESOLUTION: _RATIONAL,
    Tag.PLANAR_CONFIGURATION: _SHORT,
    Tag.RESOLUTION_UNIT: _SHORT,
    Tag.SOFTWARE: _ASCII,
    Tag.DATE_TIME: _ASCII,
    Tag.ARTIST: _ASCII,
    Tag.HOST_COMPUTER: _ASCII,
    Tag.PREDICTOR: _SHORT,
    Tag.COLOR_MAP: _SHORT,
    Tag.TILE_WIDTH: _INTEGERS,
    Tag.TILE_LENGTH: _INTEGERS,
    Tag.TILE_OFFSETS: _INTEGERS,
    Tag.TILE_BYTE_COUNTS: _INTEGERS,
    Tag.EXTRA_SAMPLES: _SHORT,
    Tag.SAMPLE_FORMAT: _SHORT,
    Tag.JPEG_TABLES: _BYTES,
    Tag.COPYRIGHT: _ASCII,
    Tag.MODEL_PIXEL_SCALE: _DOUBLE,
    Tag.MODEL_TIEPOINT: _DOUBLE,
    Tag.MODEL_TRANSFORMATION: _DOUBLE,
    Tag.GEO_KEY_DIRECTORY: _SHORT,
    Tag.GEO_DOUBLE_PARAMS: _DOUBLE,
    Tag.GEO_ASCII_PARAMS: _ASCII,
    Tag.GDAL_METADATA: _ASCII,
    Tag.GDAL_NODATA: _ASCII,
    Tag.LERC_PARAMETERS: frozenset({FieldType.LONG}),
}
_REQUIRED = frozenset(
    {
        Tag.IMAGE_WIDTH,
        Tag.IMAGE_LENGTH,
        Tag.BITS_PER_SAMPLE,
        Tag.COMPRESSION,
        Tag.PHOTOMETRIC_INTERPRETATION,
        Tag.SAMPLES_PER_PIXEL,
    }
)
#: Values in async-tiff's enumerations.
_VALUES: dict[int, frozenset[int]] = {
    Tag.PHOTOMETRIC_INTERPRETATION: frozenset({0, 1, 2, 3, 4, 5, 6, 8}),
    Tag.PLANAR_CONFIGURATION: frozenset({1, 2}),
    Tag.PREDICTOR: frozenset({1, 2, 3}),
    Tag.RESOLUTION_UNIT: frozenset({1, 2, 3}),
    Tag.EXTRA_SAMPLES: frozenset({0, 1, 2}),
    Tag.SAMPLE_FORMAT: frozenset({1, 2, 3, 4}),
}
#: Tags with exactly one value.
_SINGLE = frozenset(
    {
        Tag.NEW_SUBFILE_TYPE,
        Tag.IMAGE_WIDTH,
        Tag.IMAGE_LENGTH,
        Tag.COMPRESSION,
        Tag.PHOTOMETRIC_INTERPRETATION,
        Tag.ORIENTATION,
        Tag.SAMPLES_PER_PIXEL,
        Tag.ROWS_PER_STRIP,
        Tag.X_RESOLUTION,
        Tag.Y_RESOLUTION,
        Tag.PLANAR_CONFIGURATION,
        Tag.RESOLUTION_UNIT,
        Tag.PREDICTOR,
        Tag.TILE_WIDTH,
        Tag.TILE_LENGTH,
    }
)
_SEGMENT_TAGS = frozenset(
    {Tag.STRIP_OFFSETS, Tag.STRIP_BYTE_COUNTS, Tag.TILE_OFFSETS, Tag.TILE_BYTE_COUNTS}
)


@dataclass(frozen=True, slots=True)
class Screened:
    """What the look at a file found.

    Parameters
    ----------
    offsets
        Where each directory of the main chain is, in bytes from the start of the file.
    plain
        Whether async-tiff may read the file.
    damage
        Why the chain ends early, if it does.
    """

    byte_order: Literal["little", "big"]
    big_tiff: bool
    offsets: tuple[int, ...]
    plain: bool
    damage: InvalidTIFFError | None


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes of the two flavours of TIFF (TIFF 6.0 section 2; BigTIFF design)."""

    count: struct.Struct
    entry: struct.Struct
    offset: struct.Struct
    first: int
    inline: int
    order: str


_LAYOUTS = {
    (order, big): _Layout(
        count=struct.Struct(order + ("Q" if big else "H")),
        entry=struct.Struct(order + ("HHQ8s" if big else "HHI4s")),
        offset=struct.Struct(order + ("Q" if big else "I")),
        first=8 if big else 4,
        inline=8 if big else 4,
        order=order,
    )
    for order in "<>"
    for big in (False, True)
}


async def screen(source: ByteSource) -> Screened:
    """Walk the chain of directories without reading what their entries point to.

    Raises
    ------
    InvalidTIFFError
        Not a TIFF, or its first directory cannot be read.
    """
    url = source.source.url
    start = source.prefix[:16]
    if source.size == 0:
        raise InvalidTIFFError("the file is empty.", kind=ErrorKind.EMPTY_FILE, url=url)
    order, big = _flavour(start, url)
    layout = _LAYOUTS[order, big]
    if len(start) < layout.first + layout.offset.size:
        raise _truncated("the file ends within its header", url)
    (position,) = layout.offset.unpack_from(start, layout.first)

    offsets: list[int] = []
    seen: set[int] = set()
    plain = True
    damage = None
    while position:
        try:
            if position in seen:
                raise InvalidTIFFError(
                    f"the chain of directories comes back to offset {position}.",
                    kind=ErrorKind.IFD_CYCLE,
                )
            if len(offsets) >= MAX_DIRECTORIES:
                raise InvalidTIFFError(
                    f"more than {MAX_DIRECTORIES} directories.", kind=ErrorKind.HEADER_TOO_LARGE
                )
            entries, following = await _directory(source, position, layout)
            is_plain = await _is_plain(source, entries, layout)
        except InvalidTIFFError as error:
            error.at(url=url, ifd=(len(offsets),))
            if not offsets:
                raise
            damage, plain = error, False
            break
        plain = plain and is_plain
        seen.add(position)
        offsets.append(position)
        position = following
    if not offsets:
        raise InvalidTIFFError("the file has no image file directory.", url=url)
    byte_order: Literal["little", "big"] = "little" if order == "<" else "big"
    return Screened(byte_order, big, tuple(offsets), plain, damage)


def _flavour(start: bytes, url: str) -> tuple[str, bool]:
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    version = struct.unpack(order + "H", start[2:4])[0] if order and len(start) >= 4 else None
    if order is None or version not in (42, 43):
        raise InvalidTIFFError(
            f"this is not a TIFF: it begins with {start[:4]!r}, not with II or MM and 42 or 43.",
            kind=ErrorKind.NOT_A_TIFF,
            url=url,
            remedy="Check that the file is what its name says.",
        )
    if version == 43 and (len(start) < 8 or struct.unpack(order + "HH", start[4:8]) != (8, 0)):
        raise InvalidTIFFError(
            "a BigTIFF whose offsets are not 8 bytes wide.", kind=ErrorKind.NOT_A_TIFF, url=url
        )
    return order, version == 43


type _Entry = tuple[int, int, int, bytes]


async def _directory(
    source: ByteSource, position: int, layout: _Layout
) -> tuple[list[_Entry], int]:
    """Read the entries of one directory and the offset of the next."""
    head = await source.read(position, layout.count.size)
    if len(head) < layout.count.size:
        raise _truncated(f"a directory at offset {position} lies beyond the end", None)
    (count,) = layout.count.unpack(head)
    if not 0 < count <= MAX_ENTRIES:
        raise InvalidTIFFError(
            f"the directory at offset {position} has {count} entries.",
            kind=ErrorKind.INVALID_IFD,
        )
    size = count * layout.entry.size
    body = await source.read(position + layout.count.size, size + layout.offset.size)
    if len(body) < size:
        raise _truncated(f"the directory at offset {position} is cut off", None)
    entries = list(layout.entry.iter_unpack(body[:size]))
    # Some writers end the file right after the last entry: no next directory.
    rest = body[size:]
    following = layout.offset.unpack(rest)[0] if len(rest) == layout.offset.size else 0
    return entries, following


async def _is_plain(source: ByteSource, entries: list[_Entry], layout: _Layout) -> bool:
    """Whether async-tiff reads this directory; raise if nobody should."""
    plain = True
    total = 0
    found: dict[int, _Entry] = {}
    for entry in entries:
        code, kind, count, _ = entry
        size = _SIZES.get(kind)
        if size is None or code in found or code == Tag.SUB_IFDS or kind in (13, 18) or count == 0:
            plain = False
            found.setdefault(code, entry)
            continue
        found[code] = entry
        nbytes = size * count
        if nbytes > layout.inline:
            total += nbytes
            (at,) = layout.offset.unpack(entry[3][: layout.offset.size])
            if at + nbytes > source.size:
                plain = False
        allowed = _TYPES.get(code)
        if (
            (allowed is not None and kind not in allowed)
            or (code in _SINGLE and count != 1)
            or (code in _SEGMENT_TAGS and count > MANY_SEGMENTS)
            or (code not in _SEGMENT_TAGS and nbytes > MAX_SMALL_VALUE_BYTES)
        ):
            plain = False
    if total > MAX_VALUE_BYTES and total > source.size:
        raise InvalidTIFFError(
            f"the entries of one directory ask for {total} bytes of a file of {source.size}.",
            kind=ErrorKind.HEADER_TOO_LARGE,
        )
    if not plain or not found.keys() >= _REQUIRED:
        return False
    return await _values_are_plain(source, found, layout)


async def _values_are_plain(source: ByteSource, found: dict[int, _Entry], layout: _Layout) -> bool:
    samples = (await _integers(source, found[Tag.SAMPLES_PER_PIXEL], layout))[0]
    for counted in (Tag.BITS_PER_SAMPLE, Tag.SAMPLE_FORMAT):
        if counted in found and found[counted][2] != samples:
            return False
    for tag, allowed in _VALUES.items():
        if tag in found and not allowed.issuperset(await _integers(source, found[tag], layout)):
            return False
    if (Tag.TILE_WIDTH in found) != (Tag.TILE_OFFSETS in found):
        return False
    return await _geo_keys_are_plain(source, found, layout)


async def _geo_keys_are_plain(
    source: ByteSource, found: dict[int, _Entry], layout: _Layout
) -> bool:
    """Whether async-tiff knows every key, and every key's value is where it says."""
    directory = found.get(Tag.GEO_KEY_DIRECTORY)
    if directory is None:
        return True
    keys = await _integers(source, directory, layout)
    if len(keys) < 4 or keys[3] * 4 + 4 != len(keys):
        return False
    text = await _bytes(source, found.get(Tag.GEO_ASCII_PARAMS), layout)
    room = {
        0: 2**16,
        Tag.GEO_DOUBLE_PARAMS: found.get(Tag.GEO_DOUBLE_PARAMS, (0, 0, 0, b""))[2],
        Tag.GEO_ASCII_PARAMS: len(text.rstrip(b"\0")),
    }
    for i in range(4, len(keys), 4):
        key, location, count, offset = keys[i : i + 4]
        if key not in ASYNC_TIFF_GEO_KEYS or location not in room or count == 0:
            return False
        if location == 0:
            if count != 1:
                return False
        elif offset + count > room[location]:
            return False
    return text.isascii()


async def _bytes(source: ByteSource, entry: _Entry | None, layout: _Layout) -> bytes:
    """Value of an entry as it is stored; nothing where there is no entry."""
    if entry is None:
        return b""
    code, kind, count, field = entry
    size = count * _SIZES[kind]
    if size <= layout.inline:
        return field[:size]
    (at,) = layout.offset.unpack(field[: layout.offset.size])
    value = await source.read(at, size)
    if len(value) < size:
        raise _truncated(f"the value of tag {code} lies beyond the end", None)
    return value


async def _integers(source: ByteSource, entry: _Entry, layout: _Layout) -> tuple[int, ...]:
    """Values of a short integer entry."""
    _, kind, count, _ = entry
    value = await _bytes(source, entry, layout)
    return struct.unpack(f"{layout.order}{count}{_FORMATS[kind]}", value)


def _truncated(message: str, url: str | None) -> InvalidTIFFError:
    return InvalidTIFFError(
        f"{message} of the file.",
        kind=ErrorKind.TRUNCATED,
        url=url,
        remedy="It was cut short: copy or download it again.",
    )
