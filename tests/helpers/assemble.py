"""TIFFs put together entry by entry: what no writer would write, and what a test must control.

The smallest sound image is `PLAIN` with `PLAIN_DATA`; tests replace, add or drop fields of it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from virtual_tiff.tags import FieldType, Tag

_FORMATS = {
    FieldType.BYTE: "B",
    FieldType.SHORT: "H",
    FieldType.LONG: "I",
    FieldType.SBYTE: "b",
    FieldType.SSHORT: "h",
    FieldType.SLONG: "i",
    FieldType.FLOAT: "f",
    FieldType.DOUBLE: "d",
    FieldType.IFD: "I",
    FieldType.LONG8: "Q",
    FieldType.SLONG8: "q",
    FieldType.IFD8: "Q",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of a directory.

    Parameters
    ----------
    kind
        Number of the type; may be one that TIFF does not know.
    values
        Numbers, numerators and denominators in turn, text without its NUL, or bytes as they are.
    count, offset
        What the entry states instead of the truth.
    """

    kind: int
    values: tuple[float | DirectoryAt, ...] | str | bytes
    count: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class DirectoryAt:
    """Stands for the offset of a directory, by its position in the list that is assembled."""

    index: int


type Directory = Mapping[int, Field]


def short(*values: int) -> Field:
    """SHORT values."""
    return Field(FieldType.SHORT, values)


def long(*values: int) -> Field:
    """LONG values."""
    return Field(FieldType.LONG, values)


def text(value: str) -> Field:
    """ASCII."""
    return Field(FieldType.ASCII, value)


def double(*values: float) -> Field:
    """DOUBLE values."""
    return Field(FieldType.DOUBLE, values)


#: Where `data` begins in a classic TIFF and in a BigTIFF.
DATA_AT, BIG_DATA_AT = 8, 16
PLAIN_DATA = bytes(range(20))
#: Four rows of five pixels, 8 bits, in one strip.
PLAIN: dict[int, Field] = {
    Tag.IMAGE_WIDTH: short(5),
    Tag.IMAGE_LENGTH: short(4),
    Tag.BITS_PER_SAMPLE: short(8),
    Tag.COMPRESSION: short(1),
    Tag.PHOTOMETRIC_INTERPRETATION: short(1),
    Tag.STRIP_OFFSETS: long(DATA_AT),
    Tag.SAMPLES_PER_PIXEL: short(1),
    Tag.ROWS_PER_STRIP: short(4),
    Tag.STRIP_BYTE_COUNTS: long(20),
}


def plain(**changes: Field | None) -> bytes:
    """Make the smallest sound TIFF, with fields replaced (`IMAGE_WIDTH=short(0)`) or dropped."""
    return assemble([changed(PLAIN, **changes)])


def changed(directory: Directory, **changes: Field | None) -> dict[int, Field]:
    """Replace, add or (`None`) drop fields, by the names of `Tag`."""
    fields = {int(tag): field for tag, field in directory.items()}
    for name, field in changes.items():
        fields.pop(Tag[name], None)
        if field is not None:
            fields[Tag[name]] = field
    return fields


def assemble(
    directories: Sequence[Directory],
    *,
    data: bytes = PLAIN_DATA,
    chain: Sequence[int] | None = None,
    order: str = "<",
    big: bool = False,
) -> bytes:
    """Put a TIFF together: header, data, then each directory followed by its values.

    Parameters
    ----------
    directories
        Tag numbers to fields, written in ascending order of the tags.
    data
        Pixels, at `DATA_AT` or `BIG_DATA_AT`.
    chain
        Positions in `directories` that the main chain runs through; all, unless told. Each may
        lead to one other only, so a chain that names a directory twice becomes a cycle.
    order
        `<` for II, `>` for MM.
    big
        Whether to write a BigTIFF.
    """
    chain = range(len(directories)) if chain is None else chain
    start = BIG_DATA_AT if big else DATA_AT
    at, position = [], start + len(data) + len(data) % 2
    for fields in directories:
        at.append(position)
        position += len(_directory(fields, order, big, [0] * len(directories), position, 0))
    following = dict(pairwise(chain))
    out = bytearray(
        (b"II" if order == "<" else b"MM")
        + struct.pack(
            order + ("HHHQ" if big else "HI"), *([43, 8, 0] if big else [42]), at[chain[0]]
        )
    )
    out += data + bytes(len(data) % 2)
    for i, fields in enumerate(directories):
        after = at[following[i]] if i in following else 0
        out += _directory(fields, order, big, at, at[i], after)
    return bytes(out)


def _directory(
    fields: Directory, order: str, big: bool, at: Sequence[int], position: int, after: int
) -> bytes:
    inline, word = (8, "Q") if big else (4, "I")
    size = (8 + 20 * len(fields) + 8) if big else (2 + 12 * len(fields) + 4)
    entries, values = bytearray(), bytearray()
    for tag, field in sorted(fields.items()):
        content, count = _content(field, order, at)
        if len(content) > inline:
            place = struct.pack(order + word, position + size + len(values))
            values += content + bytes(len(content) % 2)
        else:
            place = content.ljust(inline, b"\0")
        if field.offset is not None:
            place = struct.pack(order + word, field.offset)
        stated = count if field.count is None else field.count
        entries += struct.pack(order + "HH" + word, tag, field.kind, stated) + place
    head = struct.pack(order + ("Q" if big else "H"), len(fields))
    return bytes(head + entries + struct.pack(order + word, after) + values)


def _content(field: Field, order: str, at: Sequence[int]) -> tuple[bytes, int]:
    """Bytes of a field's values, and how many there are."""
    if isinstance(field.values, str):
        encoded = field.values.encode() + b"\0"
        return encoded, len(encoded)
    if isinstance(field.values, bytes):
        return field.values, len(field.values)
    values: list[Any] = [at[v.index] if isinstance(v, DirectoryAt) else v for v in field.values]
    if field.kind in (FieldType.RATIONAL, FieldType.SRATIONAL):
        sign = "I" if field.kind == FieldType.RATIONAL else "i"
        return struct.pack(f"{order}{len(values)}{sign}", *values), len(values) // 2
    form = _FORMATS.get(field.kind, "I")  # type: ignore[call-overload]
    return struct.pack(f"{order}{len(values)}{form}", *values), len(values)
