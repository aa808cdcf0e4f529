"""Change the frame header of a JPEG stream (ITU-T T.81, annex B.2.2)."""

from __future__ import annotations

import struct

from virtual_tiff.errors import ErrorKind, InvalidTIFFError

#: SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, RST0 to RST7, SOI, EOI.
_STANDALONE = frozenset({0x01, *range(0xD0, 0xDA)})
_START_OF_SCAN = 0xDA


def with_frame_height(stream: bytes, height: int) -> bytes:
    """Return the stream with another number of lines in its frame header.

    A decoder then reaches the end of the data before the end of the frame and pads the rest;
    existing lines decode as before.

    Parameters
    ----------
    stream
        An interchange or abbreviated stream.
    height
        Number of lines to declare.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`: there is no frame header before the first scan.
    """
    position = 2
    while position + 9 <= len(stream):
        if stream[position] != 0xFF:
            break
        marker = stream[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        if marker in _START_OF_FRAME:
            # Marker, length and sample precision come before the number of lines.
            at = position + 5
            return stream[:at] + struct.pack(">H", height) + stream[at + 2 :]
        if marker == _START_OF_SCAN:
            break
        (length,) = struct.unpack_from(">H", stream, position + 2)
        position += 2 + length
    raise InvalidTIFFError("a JPEG segment has no frame header.", kind=ErrorKind.INVALID_SEGMENT)
