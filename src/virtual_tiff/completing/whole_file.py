"""Plan an image as one chunk that is the whole file, for `imagecodecs_tiff` to decode.

The codec decodes a TIFF with libtiff, which reads encodings that have no codec of their own:
old-style JPEG, subsampled YCbCr, ThunderScan, masks of LERC. A reader fetches the whole file for
any pixel, so only small files are planned like this, and only if the file is not much larger than
the image.
"""

from __future__ import annotations

import asyncio
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.json_type import JSON
from virtual_tiff.planning.axes import Axes
from virtual_tiff.planning.encoding.codec_chain import SMALL_FILE_BYTES
from virtual_tiff.planning.encoding.data_type import image_nodata
from virtual_tiff.planning.encoding.stream_headers import frame_of
from virtual_tiff.planning.image_plan import ImageOptions
from virtual_tiff.planning.plan import ArrayPlan, Codec
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import Compression, PhotometricInterpretation, Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory

#: Largest file in bytes, and largest decoded image.
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_IMAGE_BYTES = 256 * 1024 * 1024
#: A file that is not small may have so many times the bytes of the image, stored or decoded.
_LARGEST_SHARE = 4
_KINDS = frozenset(
    {
        ErrorKind.UNSUPPORTED_COMPRESSION,
        ErrorKind.UNSUPPORTED_COLOR,
        ErrorKind.UNSUPPORTED_LAYOUT,
        ErrorKind.UNSUPPORTED_MASK,
        ErrorKind.UNSUPPORTED_PREDICTOR,
    }
)
#: Decoded as CIE XYZ by libtiff, and as 16-bit integers by GDAL; or, in JPEG, differently by other
#: decoders.
_COLOR_SPACES = frozenset(
    {
        PhotometricInterpretation.CIELAB,
        PhotometricInterpretation.ICCLAB,
        PhotometricInterpretation.ITULAB,
        PhotometricInterpretation.LOG_LUV,
    }
)


async def plan_whole_file(
    header: Header,
    directory: ImageFileDirectory,
    source: ByteSource,
    reason: UnsupportedTIFFError,
    options: ImageOptions,
) -> ArrayPlan | None:
    """Plan an image as one chunk; `None` if the codec does not decode it, or at a high price.

    Parameters
    ----------
    header, directory
        The TIFF and its image.
    source
        The bytes of the TIFF, all of which are read.
    reason
        Why its segments cannot be referenced; recorded in the notes of the array.
    options
        Position of the band dimension.
    """
    if options.bands is not None or not is_candidate(directory, source.size, reason):
        return None
    data = await source.read_uncached(0, source.size)
    if not _has_whole_rows(data, directory):
        return None
    pixels = await asyncio.to_thread(_decoded, data, directory.index[0])
    if pixels is None or not _is_expected(pixels, directory, reason):
        return None
    # Arrays of one bit are of this type, whatever their codec.
    stored = np.dtype("uint8") if pixels.dtype.kind == "b" else pixels.dtype
    return _plan(directory, header.source, stored, reason, options)


def is_candidate(
    directory: ImageFileDirectory, file_bytes: int, reason: UnsupportedTIFFError
) -> bool:
    """Return whether an image that was refused may be planned as one chunk, by its directory."""
    return (
        reason.kind in _KINDS
        # libtiff ignores a predictor, others undo it.
        and not (reason.tag == Tag.PREDICTOR and directory.compression == Compression.PACKBITS)
        and len(directory.index) == 1
        and directory.image_depth == 1
        and directory.photometric_interpretation not in _COLOR_SPACES
        and not _is_ambiguous(directory)
        and _is_cheap(directory, file_bytes)
    )


def _is_ambiguous(directory: ImageFileDirectory) -> bool:
    """Return whether libtiff's pixels depend on how it is asked: by image, or by strip as GDAL.

    libtiff converts YCbCr to RGB in the order of Orientation, that of the image or of each strip.
    It takes a row of 4 × 4 subsampling for a quarter of a row of units, 18 bytes each, rounded
    down: where the number of units is odd, the last ones are lost, or other ones by strip.
    """
    if directory.photometric_interpretation != PhotometricInterpretation.YCBCR:
        return False
    if directory.other_tags.get(Tag.ORIENTATION, 1) not in (0, 1):
        return True
    units = -(-directory.segment_shape[1] // 4)
    odd = directory.is_tiled or units % 2 == 1
    return odd and directory.other_tags.get(Tag.YCBCR_SUBSAMPLING) == (4, 4)


def _has_whole_rows(data: bytes, directory: ImageFileDirectory) -> bool:
    """Return whether streams of JPEG are as wide as their tiles; libtiff misplaces other rows."""
    if directory.compression != Compression.JPEG:
        return True
    columns = directory.segment_shape[1]
    segments = zip(directory.offsets.tolist(), directory.byte_counts.tolist(), strict=False)
    frames = (frame_of(data[start : start + count]) for start, count in segments if count)
    return all(frame is None or frame.width == columns for frame in frames)


def _is_cheap(directory: ImageFileDirectory, file_bytes: int) -> bool:
    sample = max(1, max(directory.bits_per_sample) // 8)
    pixels = directory.image_width * directory.image_length * directory.samples_per_pixel
    if file_bytes > MAX_FILE_BYTES or pixels * sample > MAX_IMAGE_BYTES:
        return False
    rows, columns = directory.segment_shape
    if rows * columns * directory.samples_per_segment * sample > MAX_IMAGE_BYTES:
        return False
    stored = int(np.minimum(directory.byte_counts, np.uint64(file_bytes)).sum())
    return file_bytes <= max(SMALL_FILE_BYTES, _LARGEST_SHARE * max(stored, pixels * sample))


def _decoded(data: bytes, index: int) -> NDArray[Any] | None:
    try:
        return np.asarray(imagecodecs.tiff_decode(data, index=index))
    except (imagecodecs.TiffError, ValueError, IndexError, RuntimeError, NotImplementedError):
        return None


def _is_expected(
    pixels: NDArray[Any], directory: ImageFileDirectory, reason: UnsupportedTIFFError
) -> bool:
    """Return whether pixels have the shape and the width of the samples of the directory.

    libtiff has NaN for masked floating-point numbers, and what is stored for masked integers.
    """
    size = (directory.image_length, directory.image_width)
    samples = directory.samples_per_pixel
    shape = size if samples == 1 else (samples, *size) if directory.is_planar else (*size, samples)
    if pixels.shape != shape or pixels.dtype.kind not in "biufc":
        return False
    if reason.kind == ErrorKind.UNSUPPORTED_MASK:
        return pixels.dtype.kind == "f"
    return 8 * pixels.dtype.itemsize >= max(directory.bits_per_sample)


def _plan(
    directory: ImageFileDirectory,
    source: Source,
    data_type: np.dtype[Any],
    reason: UnsupportedTIFFError,
    options: ImageOptions,
) -> ArrayPlan:
    axes = Axes(
        directory.samples_per_pixel, directory.samples_per_pixel, last=options.band_axis == "last"
    )
    shape = axes.arrange(axes.planes, directory.image_length, directory.image_width)
    codecs: list[Codec] = []
    if axes.planes > 1 and directory.is_planar == axes.last:
        order = [2, 0, 1] if axes.last else [1, 2, 0]
        codecs.append({"name": "transpose", "configuration": {"order": [*order]}})
    codecs.append({"name": "imagecodecs_tiff", "configuration": {"index": directory.index[0]}})
    attributes: dict[str, JSON] = {"notes": [f"The whole file is the only chunk: {reason.message}"]}
    if directory.photometric_interpretation == PhotometricInterpretation.YCBCR and axes.planes == 3:
        attributes["color_interpretation"] = ["red", "green", "blue"]
    nodata = image_nodata(directory, data_type)
    zero = data_type.type(0).item()
    grid = (1,) * len(shape)
    return ArrayPlan(
        shape=shape,
        chunk_shape=shape,
        data_type=data_type.newbyteorder("="),
        codecs=tuple(codecs),
        fill_value=zero if nodata is None else nodata,
        dimension_names=axes.arrange(axes.name, "y", "x"),
        source=source,
        ifd=directory.index,
        offsets=np.zeros(grid, np.uint64),
        lengths=np.full(grid, source.size, np.uint64),
        attributes=attributes,
    )
