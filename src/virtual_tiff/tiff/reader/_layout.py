"""Classic TIFF and BigTIFF, and the header that distinguishes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Literal

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tiff.reader._other_formats import not_a_tiff

#: Size of the larger of both headers in bytes.
HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class FileLayout:
    """Widths and byte order of a file (TIFF 6.0 section 2; the BigTIFF design).

    `entry` has tag, type, count and value field. `first` is the position of the offset of the first
    directory, `inline` the size in bytes of the largest value that fits into its entry, `is_ndpi`
    that of Hamamatsu's slides.
    """

    order: Literal["<", ">"]
    big_tiff: bool
    count: struct.Struct
    entry: struct.Struct
    offset: struct.Struct
    first: int
    inline: int
    is_ndpi: bool = False

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Byte order as `little` or `big`."""
        return "little" if self.order == "<" else "big"


def _layout(order: Literal["<", ">"], *, big: bool) -> FileLayout:
    return FileLayout(
        order=order,
        big_tiff=big,
        count=struct.Struct(order + ("Q" if big else "H")),
        entry=struct.Struct(order + ("HHQ8s" if big else "HHI4s")),
        offset=struct.Struct(order + ("Q" if big else "I")),
        first=8 if big else 4,
        inline=8 if big else 4,
    )


#: Hamamatsu NDPI: a classic TIFF, but for offsets of directories of 64 bits, and the upper halves
#: of values after each directory.
NDPI = replace(_layout("<", big=False), offset=struct.Struct("<Q"), is_ndpi=True)
_LAYOUTS = {
    (b"II", 42): _layout("<", big=False),
    (b"II", 43): _layout("<", big=True),
    (b"MM", 42): _layout(">", big=False),
    (b"MM", 43): _layout(">", big=True),
}


def read_file_header(start: bytes) -> tuple[FileLayout, int]:
    """Return the variant of a file and the offset of its first directory, from its start."""
    if not start:
        raise InvalidTIFFError("the file is empty.", kind=ErrorKind.EMPTY_FILE)
    version = int.from_bytes(start[2:4], "big" if start[:2] == b"MM" else "little")
    layout = _LAYOUTS.get((start[:2], version))
    if layout is None:
        raise not_a_tiff(start)
    if layout.big_tiff and start[4:8] != struct.pack(layout.order + "HH", 8, 0):
        raise InvalidTIFFError(
            "a BigTIFF whose offsets are not 8 bytes wide.", kind=ErrorKind.NOT_A_TIFF
        )
    if len(start) < layout.first + layout.offset.size:
        raise truncated("the file ends within its header,")
    (position,) = layout.offset.unpack_from(start, layout.first)
    return layout, position


def truncated(what: str) -> InvalidTIFFError:
    """Return the error for something beyond the end of the file."""
    return InvalidTIFFError(
        f"{what} beyond the end of the file.",
        kind=ErrorKind.TRUNCATED,
        remedy="It was cut short: copy or download it again.",
    )
