"""Codecs of compressions with whole images as streams: JPEG, JPEG XL, WebP, LERC, fax.

Each is a Zarr codec from array to bytes, named and configured as in imagecodecs-zarr.
"""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np

from virtual_tiff.errors import ErrorKind, shorten
from virtual_tiff.planning.encoding.data_type import SampleType
from virtual_tiff.planning.encoding.electron_events import EER, eer
from virtual_tiff.planning.encoding.stream_headers import has_quantization_tables
from virtual_tiff.planning.plan import Codec
from virtual_tiff.tags import Compression, LercCompression, PhotometricInterpretation, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

_JPEG = frozenset(
    {
        Compression.JPEG,
        Compression.JPEG_ALT,
        Compression.JPEG_LOSSY_DNG,
        Compression.OLD_JPEG,
    }
)
_JPEG_2000 = frozenset(
    {
        Compression.JPEG_2000,
        Compression.JPEG_2000_ALT,
        Compression.JPEG_2000_APERIO_RGB,
        Compression.JPEG_2000_APERIO_YCBCR,
    }
)
_JPEG_XL = frozenset({Compression.JPEG_XL, Compression.JPEG_XL_OLD})
_JPEG_XR = frozenset({Compression.JPEG_XR, Compression.JPEG_XR_NDPI})
WEBP = frozenset({Compression.WEBP, Compression.WEBP_OLD})
#: CCITT compressions: decoders stop at the end of the data and leave further rows white.
CCITT = frozenset({Compression.CCITT_RLE, Compression.CCITT_T4, Compression.CCITT_T6})

IMAGE_COMPRESSIONS = (
    _JPEG
    | _JPEG_2000
    | _JPEG_XL
    | _JPEG_XR
    | CCITT
    | WEBP
    | {Compression.PNG, Compression.LERC}
    | EER.keys()
)
#: Compressions that do not tell what a segment holds: 33004 and 33007 are also raw YCbCr of Aperio,
#: and old-style JPEG has several forms.
AMBIGUOUS = frozenset({Compression.JPEG_2000_ALT, Compression.JPEG_ALT, Compression.OLD_JPEG})
#: Bit 2 of T4Options: fill bits come before end-of-line codes (TIFF 6.0 section 11).
_FILL_BITS = 4
#: Colour spaces that JPEG does not have.
_NOT_OF_JPEG = frozenset(
    {
        PhotometricInterpretation.CIELAB,
        PhotometricInterpretation.ICCLAB,
        PhotometricInterpretation.ITULAB,
        PhotometricInterpretation.LOG_LUV,
    }
)
#: Codecs without a configuration.
_PLAIN: dict[int, str] = {
    **dict.fromkeys(_JPEG_2000, "imagecodecs_jpeg2k"),
    **dict.fromkeys(_JPEG_XL, "imagecodecs_jpegxl"),
    **dict.fromkeys(_JPEG_XR, "imagecodecs_jpegxr"),
    Compression.PNG: "imagecodecs_png",
}
_LERC_OUTER: dict[int, Codec] = {
    LercCompression.DEFLATE: {"name": "numcodecs.zlib", "configuration": {"level": 6}},
    LercCompression.ZSTD: {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
}


def stream_codec(compression: int) -> str | None:
    """Return the name of the codec of streams that state their own size, of JPEG for instance."""
    if compression in _JPEG:
        return "imagecodecs_jpeg"
    return "imagecodecs_webp" if compression in WEBP else _PLAIN.get(compression)


def image_codecs(ifd: ImageFileDirectory, sample: SampleType) -> tuple[Codec, ...]:
    """Return the codec of a stream, one of `IMAGE_COMPRESSIONS`, and codecs that follow it."""
    compression = ifd.compression
    if compression in CCITT:
        return (_ccitt(ifd),)
    if compression in EER:
        return (eer(ifd),)
    if sample.is_packed and (compression not in _JPEG | _JPEG_2000 | _JPEG_XL):
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_DATA_TYPE,
            Tag.BITS_PER_SAMPLE,
            f"{sample.bits}-bit samples in a stream of whole bytes.",
        )
    if compression in _JPEG:
        return (_jpeg(ifd),)
    if compression in _PLAIN:
        return ({"name": _PLAIN[compression]},)
    if compression in WEBP:
        if ifd.samples_per_segment not in (3, 4):
            raise ifd.unsupported(
                ErrorKind.UNSUPPORTED_LAYOUT,
                Tag.SAMPLES_PER_PIXEL,
                f"WebP segments of {ifd.samples_per_segment} samples, which has 3 or 4.",
            )
        # In each tile, a stream omits an alpha channel that is completely opaque.
        alpha = ifd.samples_per_segment == 4
        return ({"name": "imagecodecs_webp", "configuration": {"hasalpha": alpha}},)
    return _lerc(ifd, sample)


def whole_stream(ifd: ImageFileDirectory, file_size: int) -> ImageFileDirectory:
    """Return an image of old-style JPEG whose one segment begins with the tables of its stream.

    In the only form that is supported, the bytes from JPEGInterchangeFormat to the end of the strip
    are one stream (TIFF 6.0 section 22); `completing` checks it.
    """
    start = ifd.other_tags.get(Tag.JPEG_INTERCHANGE_FORMAT)
    length = ifd.other_tags.get(Tag.JPEG_INTERCHANGE_FORMAT_LENGTH, 0)
    counted = int(ifd.byte_counts[0]) if ifd.byte_counts.size == 1 else 0
    first = int(ifd.offsets[0]) if ifd.offsets.size == 1 else -1
    end = first + counted if counted else file_size
    # Wang's files have streams whose strip is somewhere within.
    is_one = isinstance(start, int) and (
        first == start or (isinstance(length, int) and 0 < start < first and start + length == end)
    )
    if not isinstance(start, int) or start < 1 or not is_one:
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_COMPRESSION,
            Tag.COMPRESSION,
            "no Zarr codec decodes old-style JPEG (6) whose tables are apart from the stream, or "
            "that has several strips.",
        )
    end = min(end, file_size)
    return replace(
        ifd,
        offsets=np.array([start], np.uint64),
        byte_counts=np.array([end - start], np.uint64),
    )


def _jpeg(ifd: ImageFileDirectory) -> Codec:
    """Return the codec of JPEG (TIFF Technical Note 2), with tables from the directory.

    The directory determines the colour space of the stream, as in libtiff, not the markers of the
    stream. YCbCr is decoded to RGB.
    """
    samples = ifd.samples_per_segment
    if samples == 3 and ifd.photometric_interpretation in _NOT_OF_JPEG:
        # libtiff does not convert the samples, tifffile does if the stream has a JFIF marker.
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_COLOR,
            Tag.PHOTOMETRIC_INTERPRETATION,
            "JPEG of a Lab or Luv image, whose stream decoders convert in different ways.",
        )
    ycbcr = ifd.photometric_interpretation == PhotometricInterpretation.YCBCR
    if samples == 3 and ycbcr:
        stored, delivered = "YCbCr", "RGB"
    else:
        stored = {1: "GRAYSCALE", 3: "RGB", 4: "CMYK"}.get(samples, "UNKNOWN")
        delivered = stored
    configuration: dict[str, str] = {}
    if ifd.jpeg_header:
        configuration["header"] = base64.b64encode(ifd.jpeg_header).decode()
    if ifd.jpeg_tables:
        configuration["tables"] = base64.b64encode(ifd.jpeg_tables).decode()
    # Lossy DNG has YCbCr where the directory says RGB; markers of the stream tell.
    by_stream = (
        ifd.compression == Compression.JPEG_LOSSY_DNG
        and ifd.photometric_interpretation == PhotometricInterpretation.RGB
    )
    if not by_stream:
        configuration["colorspace_jpeg"] = stored
        configuration["colorspace_data"] = delivered
    return {"name": "imagecodecs_jpeg", "configuration": dict(configuration)}


def is_vague_jpeg(ifd: ImageFileDirectory) -> bool:
    """Return whether streams of YCbCr may be lossless, or subsampled planes of other sizes."""
    return (
        ifd.compression in _JPEG
        and ifd.samples_per_pixel == 3
        and ifd.photometric_interpretation == PhotometricInterpretation.YCBCR
        and (ifd.is_planar or not has_quantization_tables(ifd.jpeg_tables or b""))
    )


def is_fax_2d(ifd: ImageFileDirectory) -> bool:
    """Return whether rows of Group 3 may be coded by differences from the row before (MR)."""
    options = ifd.other_tags.get(Tag.T4_OPTIONS)
    return ifd.compression == Compression.CCITT_T4 and isinstance(options, int) and options & 1 == 1


def _ccitt(ifd: ImageFileDirectory) -> Codec:
    """Return the codec of CCITT bilevel streams (TIFF 6.0 sections 10 and 11)."""
    if set(ifd.bits_per_sample) != {1} or ifd.samples_per_segment != 1:
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_LAYOUT,
            Tag.BITS_PER_SAMPLE,
            f"CCITT compression of interleaved samples of {shorten(ifd.bits_per_sample)} bits.",
        )
    if ifd.compression == Compression.CCITT_RLE:
        return {"name": "imagecodecs_ccittrle"}
    if ifd.compression == Compression.CCITT_T6:
        return {"name": "imagecodecs_ccittfax4"}
    options = ifd.other_tags.get(Tag.T4_OPTIONS) or 0
    if not isinstance(options, int):
        raise ifd.invalid(Tag.T4_OPTIONS, f"T4Options is {options!r}, but must be one integer.")
    # Writers fill before end-of-line codes whether the tag says so or not, and libtiff skips that.
    # Without this bit imagecodecs returns white rows; with it, it reads streams without fill too.
    return {"name": "imagecodecs_ccittfax3", "configuration": {"t4options": options | _FILL_BITS}}


def _lerc(ifd: ImageFileDirectory, sample: SampleType) -> tuple[Codec, ...]:
    """Return the codecs of LERC and of the compression around it (LercParameters)."""
    if ifd.byte_order == "big" and sample.data_type.itemsize > 1:
        # In big-endian files libtiff swaps the bytes of samples before it encodes them as LERC, so
        # the values in the blob are swapped.
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_LAYOUT,
            Tag.COMPRESSION,
            "LERC in a big-endian file, whose samples no Zarr codec swaps after decoding.",
        )
    lerc: Codec = {"name": "imagecodecs_lerc"}
    outer = ifd.lerc_parameters[1] if len(ifd.lerc_parameters) > 1 else LercCompression.NONE
    if outer == LercCompression.NONE:
        return (lerc,)
    codec = _LERC_OUTER.get(outer)
    if codec is None:
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_COMPRESSION,
            Tag.LERC_PARAMETERS,
            f"LERC inside an unknown compression {outer}.",
        )
    return (lerc, codec)
