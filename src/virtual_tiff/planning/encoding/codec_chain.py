"""Make Zarr v3 codec metadata from Compression, Predictor and layout.

Codecs are JSON, not classes. Readers do not have this package, so only names that zarr, numcodecs
or imagecodecs-zarr register are used.
"""

from __future__ import annotations

from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.planning.encoding.data_type import SampleType
from virtual_tiff.planning.encoding.image_codecs import (
    AMBIGUOUS,
    CCITT,
    IMAGE_COMPRESSIONS,
    WEBP,
    image_codecs,
    is_vague_jpeg,
)
from virtual_tiff.planning.plan import Codec, Inspection
from virtual_tiff.tags import Compression, PhotometricInterpretation, Predictor, Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Codecs from bytes to bytes. zarrs requires a level of numcodecs.zlib, zarr-python a
#: configuration; decoders ignore the levels.
_BYTES_CODECS: dict[int, Codec] = {
    Compression.ADOBE_DEFLATE: {"name": "numcodecs.zlib", "configuration": {"level": 6}},
    Compression.DEFLATE: {"name": "numcodecs.zlib", "configuration": {"level": 6}},
    Compression.DEFLATE_PIXTIFF: {"name": "numcodecs.zlib", "configuration": {"level": 6}},
    Compression.LZW: {"name": "imagecodecs_lzw"},
    Compression.PACKBITS: {"name": "imagecodecs_packbits"},
    Compression.ZSTD: {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
    Compression.ZSTD_OLD: {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
    # FORMAT_XZ of Python's lzma module: libtiff writes .xz streams.
    Compression.LZMA: {"name": "numcodecs.lzma", "configuration": {"format": 1}},
}
#: Distances in pixels between the bytes that are subtracted (predictor 3, and those of DNG).
_DISTANCES = {
    Predictor.FLOATING_POINT: 1,
    Predictor.FLOATING_POINT_X2: 2,
    Predictor.FLOATING_POINT_X4: 4,
}
#: Bytes of a small file, all of whose segments may be fetched when it is published.
SMALL_FILE_BYTES = 1024 * 1024
_SMALL_TILED_BYTES = 32 * 1024
_MOST_DECODED_BYTES = 16 * 1024 * 1024
#: Bytes of the header of a BigTIFF, and most that GDAL's note on the layout of a COG ends within.
_HEADER_BYTES = 16
_COG_NOTE_BYTES = 512
#: Compressions for which libtiff applies a predictor; for others it ignores the tag.
_PREDICTED = frozenset(_BYTES_CODECS) - {Compression.PACKBITS}
#: Compressions to which FillOrder does not apply; libtiff reverses the bits of all others.
_UNREVERSED = IMAGE_COMPRESSIONS - CCITT - WEBP - {Compression.LERC}


def is_compressed(ifd: ImageFileDirectory) -> bool:
    """Return whether a segment can only be decoded whole."""
    return ifd.compression != Compression.NONE


def codec_chain(
    ifd: ImageFileDirectory, sample: SampleType, *, bands_last: bool
) -> tuple[Codec, ...]:
    """Return the codecs from a chunk to a segment's bytes, array side first.

    With `bands_last`, chunks are `(rows, columns, bands)`, as chunky segments are stored, instead
    of `(bands, rows, columns)` or, for one band, `(rows, columns)`.
    """
    _check_layout(ifd)
    chunky = ifd.samples_per_segment > 1
    transposed = chunky and not bands_last
    transpose: list[Codec] = (
        [{"name": "transpose", "configuration": {"order": [1, 2, 0]}}] if transposed else []
    )
    if ifd.compression in IMAGE_COMPRESSIONS:
        return (*transpose, *image_codecs(ifd, sample))
    predictor = _predictor(ifd, sample)
    chain: list[Codec] = []
    if predictor == Predictor.HORIZONTAL:
        # Before transpose, since zarrita.js does not pass the transposed shape to the next codec.
        axis = -2 if bands_last else -1
        chain.append({"name": "imagecodecs_delta", "configuration": {"axis": axis, "dist": 1}})
    if ifd.fill_order == 2 and _has_bit_order_codec(ifd, sample):
        chain.append({"name": "imagecodecs_bitorder"})
    chain += transpose
    if distance := _DISTANCES.get(predictor):
        axis = -2 if chunky or bands_last else -1
        chain.append(
            {"name": "imagecodecs_floatpred", "configuration": {"axis": axis, "dist": distance}}
        )
    else:
        chain.append(_serializer(ifd, sample))
    if ifd.compression != Compression.NONE:
        codec = _BYTES_CODECS.get(ifd.compression)
        if codec is None:
            raise _unsupported_compression(ifd)
        chain.append(codec)
    return tuple(chain)


def _check_layout(ifd: ImageFileDirectory) -> None:
    """Refuse layouts that no codecs express."""
    # tifffile writes tiles of several slices for an image of one, too.
    is_volume = ifd.image_depth > 1 or ifd.tile_depth > 1
    if is_volume and (ifd.samples_per_pixel > 1 or ifd.compression in IMAGE_COMPRESSIONS):
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_LAYOUT,
            Tag.IMAGE_DEPTH,
            f"a volume of {ifd.image_depth} slices of {ifd.samples_per_pixel} samples, or of "
            "compressed images.",
        )
    if (
        ifd.photometric_interpretation == PhotometricInterpretation.YCBCR
        and (ifd.compression == Compression.NONE or ifd.compression in _BYTES_CODECS)
        and ifd.samples_per_pixel == 3
        # TIFF 6.0 section 21: the default is 2, 2.
        and ifd.other_tags.get(Tag.YCBCR_SUBSAMPLING, (2, 2)) not in (1, (1, 1))
    ):
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_COLOR,
            Tag.YCBCR_SUBSAMPLING,
            "no Zarr codec decodes subsampled YCbCr without JPEG.",
        )


def _has_bit_order_codec(ifd: ImageFileDirectory, sample: SampleType) -> bool:
    """Return whether a codec reverses the bits of every byte (FillOrder 2, TIFF 6.0 section 8).

    `imagecodecs_bitorder` works on arrays, so it can only be used for uncompressed samples of whole
    bytes.
    """
    return ifd.compression == Compression.NONE and not sample.is_packed and sample.bits in (8, 16)


def inspection(ifd: ImageFileDirectory, sample: SampleType, file_size: int) -> Inspection | None:
    """Return what has to be inspected in the segments of an image."""
    if (
        ifd.fill_order == 2
        and ifd.compression not in _UNREVERSED
        and not _has_bit_order_codec(ifd, sample)
    ):
        return Inspection.REVERSED_BITS
    if ifd.compression in AMBIGUOUS:
        return Inspection.KINDS
    # A few segments of the first directory tell how all were written. A COG takes its header only,
    # since libtiff fills tiles at the edges; other writers do not always.
    is_first = ifd.index == (0,)
    is_trusted = bool(ifd.geo_keys) and _is_by_gdal(ifd)
    has_look = _is_small(ifd, file_size) or (
        is_first and not is_trusted and _has_small_segments(ifd)
    )
    has_streams = ifd.compression in IMAGE_COMPRESSIONS
    if is_vague_jpeg(ifd) or (has_streams and (has_look or (is_first and not ifd.is_tiled))):
        return Inspection.STREAMS
    # Old writers of strips leave a byte too many, and writers of PackBits end at the last row.
    is_suspect = ifd.compression == Compression.PACKBITS or (
        ifd.compression == Compression.LZW and not ifd.is_tiled
    )
    if is_suspect or (ifd.compression in _BYTES_CODECS and has_look):
        return Inspection.SIZES
    return None


def _is_by_gdal(ifd: ImageFileDirectory) -> bool:
    """Return whether the first directory has GDAL's tags, or GDAL's note on COGs before it."""
    return (
        ifd.gdal_nodata is not None
        or ifd.gdal_metadata is not None
        or _HEADER_BYTES < ifd.position <= _COG_NOTE_BYTES
    )


def is_cheap_to_inspect(ifd: ImageFileDirectory, file_size: int) -> bool:
    """Return whether the sizes of all segments are inspected, since the file is small.

    For tiles it is one that the first GET contains: COGs take one request each, and few writers of
    tiles leave other sizes.
    """
    return ifd.compression in _BYTES_CODECS and _is_small(ifd, file_size)


def _is_small(ifd: ImageFileDirectory, file_size: int) -> bool:
    limit = _SMALL_TILED_BYTES if ifd.is_tiled else SMALL_FILE_BYTES
    return file_size <= limit and _has_small_segments(ifd)


def _has_small_segments(ifd: ImageFileDirectory) -> bool:
    """Return whether segments may be decoded when they are published."""
    rows, columns = ifd.segment_shape
    bits = rows * columns * ifd.samples_per_segment * ifd.bits_per_sample[0]
    return bits <= 8 * _MOST_DECODED_BYTES


def _serializer(ifd: ImageFileDirectory, sample: SampleType) -> Codec:
    """Describe how samples become bytes."""
    if sample.is_packed:
        runlen = ifd.segment_shape[1] * ifd.samples_per_segment
        return {
            "name": "imagecodecs_packints",
            "configuration": {"bitspersample": sample.bits, "runlen": runlen},
        }
    if sample.is_float24:
        order = "<" if ifd.byte_order == "little" else ">"
        return {"name": "imagecodecs_float24", "configuration": {"byteorder": order}}
    if sample.data_type.itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": ifd.byte_order}}


def _predictor(ifd: ImageFileDirectory, sample: SampleType) -> Predictor:
    """Return the predictor that is in effect."""
    if ifd.compression == Compression.PACKBITS and ifd.predictor in (2, *_DISTANCES):
        # libtiff does not write it.
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_PREDICTOR,
            Tag.PREDICTOR,
            "a predictor with PackBits, which libtiff ignores and tifffile undoes.",
        )
    if ifd.compression not in _PREDICTED or ifd.predictor == Predictor.NONE:
        return Predictor.NONE
    kind = sample.data_type.kind
    whole = not sample.is_packed and not sample.is_float24
    if ifd.predictor == Predictor.HORIZONTAL and whole and kind in "iuf":
        return Predictor.HORIZONTAL
    # imagecodecs takes the eight bytes of a complex64 for one number, as tifffile does; libtiff
    # refuses them, and imagecodecs those of a complex128.
    if ifd.predictor in _DISTANCES and whole and (kind == "f" or sample.data_type == "complex64"):
        return Predictor(ifd.predictor)
    raise ifd.unsupported(
        ErrorKind.UNSUPPORTED_PREDICTOR,
        Tag.PREDICTOR,
        f"no Zarr codec undoes predictor {ifd.predictor} for {sample.bits}-bit samples of "
        f"type {sample.data_type}.",
    )


def _unsupported_compression(ifd: ImageFileDirectory) -> UnsupportedTIFFError:
    try:
        name = f"{Compression(ifd.compression).name} ({ifd.compression})"
    except ValueError:
        name = str(ifd.compression)
    return ifd.unsupported(
        ErrorKind.UNSUPPORTED_COMPRESSION,
        Tag.COMPRESSION,
        f"no Zarr codec decodes compression {name}.",
    )
