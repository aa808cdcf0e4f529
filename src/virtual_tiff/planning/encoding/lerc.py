"""Parse the header of a LERC blob, which shows whether pixels are masked.

Esri's Lerc2 format description: magic, version, then from version 3 a checksum, rows, columns,
from version 4 values per pixel, and the number of valid pixels. Decoders without masks return 0 for
invalid pixels, for which GDAL returns NaN.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from virtual_tiff.errors import ErrorKind, InvalidTIFFError

_MAGIC = b"Lerc2 "
#: Bytes up to the number of valid pixels, in every version.
HEADER_BYTES = 30


@dataclass(frozen=True, slots=True)
class LercHeader:
    """Rows, columns, values per pixel and number of valid pixels of a blob."""

    rows: int
    columns: int
    samples: int
    valid: int

    @property
    def is_masked(self) -> bool:
        """Whether any pixel is invalid."""
        return self.valid < self.rows * self.columns

    @property
    def is_empty(self) -> bool:
        """Whether every pixel is invalid."""
        return self.valid == 0


def lerc_header(data: bytes) -> LercHeader:
    """Read the header at the start of a blob.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`: the data is not a Lerc2 blob.
    """
    if len(data) < HEADER_BYTES or not data.startswith(_MAGIC):
        raise InvalidTIFFError(
            f"a LERC segment begins with {data[:6]!r}, not with {_MAGIC!r}.",
            kind=ErrorKind.INVALID_SEGMENT,
        )
    (version,) = struct.unpack_from("<i", data, 6)
    at = 10 if version < 3 else 14
    if version < 4:
        rows, columns, valid = struct.unpack_from("<3i", data, at)
        return LercHeader(rows, columns, 1, valid)
    rows, columns, samples, valid = struct.unpack_from("<4i", data, at)
    return LercHeader(rows, columns, samples, valid)
