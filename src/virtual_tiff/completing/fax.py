"""Compare CCITT streams as their codec decodes them with libtiff.

The codec ends a damaged stream in silence; and some encoders write runs without pixels, which are
changing elements for libtiff and its kind, but not for the codec. Whatever the cause, pixels other
than those of libtiff are not published.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import imagecodecs
import numpy as np

from virtual_tiff.completing.chunks import decode, inside_image
from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.planning.axes import axis_of
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex, Codec
from virtual_tiff.tags import Compression, FieldType, Tag

_COMPRESSIONS = {
    "imagecodecs_ccittrle": Compression.CCITT_RLE,
    "imagecodecs_ccittfax3": Compression.CCITT_T4,
    "imagecodecs_ccittfax4": Compression.CCITT_T6,
}


def is_fax(plan: ArrayPlan) -> bool:
    """Return whether the streams of a plan are of CCITT."""
    return plan.codecs[-1]["name"] in _COMPRESSIONS


def check_fax(plan: ArrayPlan, streams: Mapping[ChunkIndex, bytes]) -> None:
    """Refuse streams of CCITT that libtiff decodes to other pixels than the codec of the plan.

    Raises
    ------
    UnsupportedTIFFError
        Naming the first of them.
    """
    for index, data in streams.items():
        rows, columns = inside_image(plan, index)
        sizes = {axis_of(n): c for n, c in zip(plan.dimension_names, plan.chunk_shape, strict=True)}
        found = decode(plan, plan.chunk_shape, data).reshape(sizes["y"], sizes["x"])
        expected = imagecodecs.tiff_decode(_as_tiff(plan.codecs[-1], data, rows, sizes["x"]))
        if not np.array_equal(found[:rows, :columns], expected[:, :columns]):
            raise UnsupportedTIFFError(
                f"the codec of CCITT and libtiff decode the segment of chunk {index} to different "
                "pixels; it may be damaged.",
                kind=ErrorKind.UNSUPPORTED_COMPRESSION,
            )


def _as_tiff(codec: Codec, data: bytes, rows: int, columns: int) -> bytes:
    """Return a TIFF of one strip, for libtiff to decode."""
    configuration = codec.get("configuration", {})
    options = configuration.get("t4options", 0) if isinstance(configuration, dict) else 0
    values = {
        Tag.IMAGE_WIDTH: columns,
        Tag.IMAGE_LENGTH: rows,
        Tag.BITS_PER_SAMPLE: 1,
        Tag.COMPRESSION: _COMPRESSIONS[str(codec["name"])],
        Tag.PHOTOMETRIC_INTERPRETATION: 1,
        Tag.STRIP_OFFSETS: 8,
        Tag.SAMPLES_PER_PIXEL: 1,
        Tag.ROWS_PER_STRIP: rows,
        Tag.STRIP_BYTE_COUNTS: len(data),
        Tag.T4_OPTIONS: options,
    }
    padded = data + b"\0" * (len(data) % 2)
    entries = [struct.pack("<HHII", tag, FieldType.LONG, 1, value) for tag, value in values.items()]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    return struct.pack("<2sHI", b"II", 42, 8 + len(padded)) + padded + directory
