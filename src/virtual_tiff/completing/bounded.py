"""Check how much a segment decodes to, before a decoder that trusts it allocates memory.

Compressed streams expand up to a thousand times (Deflate) or without limit (Zstandard, LZMA), and
image streams state their own number of pixels. Decoders of Zarr codecs take neither from the array.
"""

from __future__ import annotations

import lzma
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence

import imagecodecs
import numpy as np
import pyarrow

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.planning.encoding.stream_headers import frame_of, jpeg_2000_samples, lerc_header
from virtual_tiff.planning.plan import ArrayPlan, Codec
from virtual_tiff.tags import JPEG_2000_STARTS

#: Bytes that a segment may decode to beyond its chunk: padding of some writers, headers, masks.
MAX_OVERHEAD = 64 * 1024
#: Memory of a decoder of LZMA; preset 9 needs 65 MiB.
_LZMA_BYTES = 72 * 1024 * 1024
_ERRORS = (
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    imagecodecs.LzwError,
    imagecodecs.PackbitsError,
)


def decoded_bytes(plan: ArrayPlan, shape: Sequence[int]) -> int:
    """Return the bytes of so many elements of an array."""
    return math.prod(shape) * plan.data_type.itemsize


def check_decoded(codecs: Sequence[Codec], data: bytes, nbytes: int) -> None:
    """Check that a segment decodes to not much more than a chunk.

    Parameters
    ----------
    codecs
        Of the array.
    data
        The segment.
    nbytes
        Bytes of the chunk.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`.
    """
    outer = str(codecs[-1]["name"])
    limit = 2 * nbytes + MAX_OVERHEAD
    if outer in _READERS:
        data = decompressed(outer, data, limit)
    names = {str(codec["name"]) for codec in codecs}
    if "imagecodecs_lerc" in names:
        head = lerc_header(data)
        count = head.rows * head.columns * head.samples
    elif "imagecodecs_jpeg2k" in names and data.startswith(JPEG_2000_STARTS):
        # Its decoder compares the shape after it has decoded the image.
        count = jpeg_2000_samples(data)
    else:
        count = max(
            (_pixels(decode, data) for name, decode in _IMAGES.items() if name in names), default=0
        )
        # Lossless JPEG has a decoder of its own, which compares nothing.
        if "imagecodecs_jpeg" in names and (frame := frame_of(data)) is not None:
            count = max(count, frame.height * frame.width * frame.components)
    if count > limit:
        raise _too_large(limit)


def decompressed(name: str, data: bytes, limit: int) -> bytes:
    """Decompress the bytes of a codec, `limit` at most; other bytes stay as they are.

    Raises
    ------
    InvalidTIFFError
        With kind `invalid-segment`: they are more, or damaged.
    """
    read = _READERS.get(name)
    if read is None:
        return data
    try:
        found = read(data, limit + 1)
    except _ERRORS as error:
        raise InvalidTIFFError(
            f"a segment cannot be decompressed ({error}).", kind=ErrorKind.INVALID_SEGMENT
        ) from error
    if len(found) > limit:
        raise _too_large(limit)
    return found


def first_bytes(name: str, data: bytes, count: int) -> bytes:
    """Return the first bytes of a decompressed segment, of which the rest may be absent."""
    read = _READERS.get(name)
    try:
        return data[:count] if read is None else read(data, count)
    except _ERRORS as error:
        raise InvalidTIFFError(
            f"a segment cannot be decompressed ({error}).", kind=ErrorKind.INVALID_SEGMENT
        ) from error


def _too_large(limit: int) -> InvalidTIFFError:
    return InvalidTIFFError(
        f"a segment decodes to more than {limit} bytes, far more than its chunk.",
        kind=ErrorKind.INVALID_SEGMENT,
    )


def _zlib(data: bytes, count: int) -> bytes:
    return zlib.decompressobj().decompress(data, count)


def _zstd(data: bytes, count: int) -> bytes:
    with pyarrow.input_stream(pyarrow.BufferReader(data), compression="zstd") as stream:
        return bytes(stream.read(count))


def _lzma(data: bytes, count: int) -> bytes:
    return lzma.LZMADecompressor(memlimit=_LZMA_BYTES).decompress(data, count)


def _lzw(data: bytes, count: int) -> bytes:
    return bytes(imagecodecs.lzw_decode(data, out=count))


def _packbits(data: bytes, count: int) -> bytes:
    return bytes(imagecodecs.packbits_decode(data, out=count))


_READERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "numcodecs.zlib": _zlib,
    "zstd": _zstd,
    "numcodecs.lzma": _lzma,
    "imagecodecs_lzw": _lzw,
    "imagecodecs_packbits": _packbits,
}
_IMAGES: Mapping[str, Callable[..., object]] = {
    "imagecodecs_jpeg": imagecodecs.jpeg8_decode,
    "imagecodecs_jpegxl": imagecodecs.jpegxl_decode,
    "imagecodecs_jpegxr": imagecodecs.jpegxr_decode,
    "imagecodecs_png": imagecodecs.png_decode,
    "imagecodecs_webp": imagecodecs.webp_decode,
}
#: End of the error of imagecodecs for an output array of another shape than the image.
_SHAPE = re.compile(r"shape=\(([\d, ]+)\)$")


def _pixels(decode: Callable[..., object], data: bytes) -> int:
    """Return the samples of an image stream; 0 if the decoder cannot tell.

    Decoders read the header of the stream, and compare the shape of a given output array with it,
    before they allocate or decode anything.
    """
    try:
        decode(data, out=np.empty((1, 1, 1, 1), np.uint8))
    except Exception as error:  # The decoder of the array says what is wrong with a stream.
        found = _SHAPE.search(str(error))
        return 0 if found is None else math.prod(int(n) for n in found[1].split(",") if n.strip())
    return 1
