"""Read the headers of LERC blobs and of JPEG 2000 streams, and change that of a JPEG frame.

Esri's Lerc2 format description: magic, version, then from version 3 a checksum, rows, columns,
from version 4 values per pixel, and the number of valid pixels. Decoders without masks return 0 for
invalid pixels, for which GDAL returns NaN. The frame header of JPEG is in ITU-T T.81, annex B.2.2;
the size of JPEG 2000 images in ITU-T T.800, annex A.5.1, and the boxes of its files in annex I.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from virtual_tiff.errors import ErrorKind, InvalidTIFFError

_MAGIC = b"Lerc2 "
#: Bytes up to the number of valid pixels, in every version.
HEADER_BYTES = 30
#: SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, RST0 to RST7, SOI, EOI.
_STANDALONE = frozenset({0x01, *range(0xD0, 0xDA)})
_START_OF_SCAN = 0xDA
_QUANTIZATION_TABLES = 0xDB
_JFIF = 0xE0
#: SOF3, SOF7, SOF11 and SOF15.
_LOSSLESS = frozenset({3, 7, 11, 15})
#: The markers SOC and SIZ, with which each JPEG 2000 codestream begins.
_CODESTREAM = b"\xff\x4f\xff\x51"
_CODESTREAM_BOX = b"jp2c"


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


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """Frame header of a JPEG stream, before its first scan.

    Parameters
    ----------
    position
        Offset of its marker in the stream.
    process
        Coding process, the number of its marker SOF0 to SOF15.
    height, width
        Number of lines, and samples in each.
    components
        Number of components.
    sampling
        Sampling factors of each component, horizontal and vertical, in one byte.
    """

    position: int
    process: int
    height: int
    width: int
    components: int
    sampling: bytes = b""

    @property
    def is_lossless(self) -> bool:
        """Whether samples are coded as they are, without a transform."""
        return self.process in _LOSSLESS

    @property
    def is_subsampled(self) -> bool:
        """Whether components have different resolutions."""
        return len(set(self.sampling)) > 1


def frame_header(stream: bytes) -> FrameHeader:
    """Find the frame header of an interchange or abbreviated stream.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`: there is no frame header before the first scan.
    """
    for marker, position in _markers(stream):
        if marker in _START_OF_FRAME and position + 10 <= len(stream):
            # Marker, length and sample precision come before the number of lines.
            height, width, count = struct.unpack_from(">HHB", stream, position + 5)
            # Each component has its identifier, the factors, and its table.
            sampling = stream[position + 11 : position + 10 + 3 * count : 3]
            return FrameHeader(position, marker - 0xC0, height, width, count, sampling)
    raise InvalidTIFFError("a JPEG segment has no frame header.", kind=ErrorKind.INVALID_SEGMENT)


def frame_of(data: bytes) -> FrameHeader | None:
    """Return the frame header of a JPEG stream; `None` if it has none."""
    try:
        return frame_header(data) if data.startswith(b"\xff\xd8") else None
    except InvalidTIFFError:
        return None


def start_of_data(stream: bytes) -> int | None:
    """Return the offset of the data of the first scan; `None` if its header is not in `stream`."""
    for marker, position in _markers(stream):
        if marker == _START_OF_SCAN and position + 4 <= len(stream):
            (length,) = struct.unpack_from(">H", stream, position + 2)
            return int(position + 2 + length)
    return None


def has_quantization_tables(stream: bytes) -> bool:
    """Return whether a stream, or the tables of one, has what lossless streams do without."""
    return any(marker == _QUANTIZATION_TABLES for marker, _ in _markers(stream))


def is_jfif(stream: bytes) -> bool:
    """Return whether a stream has the marker of JFIF, in which three components are YCbCr."""
    return any(
        marker == _JFIF and stream[position + 4 : position + 8] == b"JFIF"
        for marker, position in _markers(stream)
    )


def with_frame_height(stream: bytes, height: int) -> bytes:
    """Return the stream with another number of lines in its frame header.

    A decoder then reaches the end of the data before the end of the frame and pads the rest;
    existing lines decode as before.
    """
    at = frame_header(stream).position + 5
    return stream[:at] + struct.pack(">H", height) + stream[at + 2 :]


def _markers(stream: bytes) -> Iterator[tuple[int, int]]:
    """Yield the markers up to the first scan, and their offsets."""
    position = 2
    while position + 4 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _STANDALONE:
            position += 2
        else:
            yield marker, position
            if marker == _START_OF_SCAN:
                return
            (length,) = struct.unpack_from(">H", stream, position + 2)
            position += 2 + length


def jpeg_2000_samples(stream: bytes) -> int:
    """Return the samples of a JPEG 2000 image, as if no component were subsampled.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`: there is no size.
    """
    at = _codestream(stream)
    if stream[at : at + 4] != _CODESTREAM or at + 42 > len(stream):
        raise InvalidTIFFError(
            "a JPEG 2000 segment does not tell the size of its image.",
            kind=ErrorKind.INVALID_SEGMENT,
        )
    # Length and capabilities of SIZ come before the size, that of tiles before the components.
    sizes: tuple[int, ...] = struct.unpack_from(">4I16xH", stream, at + 8)
    right, lower, left, upper, components = sizes
    return max(0, right - left) * max(0, lower - upper) * components


def _codestream(stream: bytes) -> int:
    """Return the offset of the codestream, which files have in one of their boxes."""
    at = 0
    while stream[at : at + 4] != _CODESTREAM and at + 16 <= len(stream):
        length, kind = struct.unpack_from(">I4s", stream, at)
        head = 8
        if length == 1:
            head, (length,) = 16, struct.unpack_from(">Q", stream, at + 8)
        if kind == _CODESTREAM_BOX:
            return at + head
        if length < head:
            break
        at += length
    return at
