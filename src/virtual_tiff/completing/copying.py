"""Decode images that no codec expresses, and store their pixels: `on_unsupported="copy"`.

The image becomes Zstandard chunks inside the manifest. Its attributes record that its pixels do not
come from the TIFF.
"""

from __future__ import annotations

import asyncio
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from virtual_tiff.completing.bounded import check_decoded
from virtual_tiff.completing.chunks import encode_chunks
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.planning.axes import Axes
from virtual_tiff.planning.encoding.image_codecs import stream_codec
from virtual_tiff.planning.image_plan import ImageOptions, check_bands
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex, Codec
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.source import Source
from virtual_tiff.tags import Compression
from virtual_tiff.tiff.ifd import ImageFileDirectory
from virtual_tiff.tiff.reader._tifffile import open_with_tifffile

_TARGET_CHUNK_BYTES = 1024 * 1024
_CODECS: tuple[Codec, ...] = (
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "zstd", "configuration": {"level": 9, "checksum": False}},
)


async def copy_image(
    directory: ImageFileDirectory,
    source: ByteSource,
    reason: UnsupportedTIFFError,
    *,
    options: ImageOptions,
    limit: int,
) -> ArrayPlan:
    """Decode an image and plan it as inline chunks.

    Parameters
    ----------
    directory
        The image.
    source
        Its TIFF.
    reason
        Why it cannot be referenced; recorded in the attributes.
    options
        Position of the band dimension, and which bands to keep.
    limit
        Largest number of decoded bytes to copy.

    Raises
    ------
    UnsupportedTIFFError
        With kind `copy-limit`, or with that of `reason` if no decoder reads it.
    InvalidOptionError
        There is no such band.
    """
    decoded_bytes = _decoded_bytes(directory)
    if decoded_bytes > limit:
        raise UnsupportedTIFFError(
            f"{reason.message} The image, or one tile of it, decodes to {decoded_bytes} bytes, "
            f"more than the {limit} that may be copied.",
            kind=ErrorKind.COPY_LIMIT,
            ifd=directory.index,
            tag=reason.tag,
            remedy="Pass a larger copy_limit.",
        )
    pixels, planes_first = await asyncio.to_thread(_decode, directory, source, reason, limit)
    return _plan(directory, source.source, pixels, planes_first, reason, options)


def _decoded_bytes(directory: ImageFileDirectory) -> int:
    """Return the decoded bytes of the image, or of one tile if that is larger."""
    image = directory.image_width * directory.image_length * directory.image_depth
    return max(
        image * directory.samples_per_pixel * _sample_bytes(directory), _tile_bytes(directory)
    )


def _tile_bytes(directory: ImageFileDirectory) -> int:
    """Return the decoded bytes of one tile or strip."""
    rows, columns = directory.segment_shape
    pixels = rows * columns * directory.tile_depth
    return pixels * directory.samples_per_segment * _sample_bytes(directory)


def _sample_bytes(directory: ImageFileDirectory) -> int:
    return max(1, max(directory.bits_per_sample) // 8)


def _decode(
    directory: ImageFileDirectory, source: ByteSource, reason: UnsupportedTIFFError, limit: int
) -> tuple[NDArray[Any], bool]:
    """Return the pixels, and whether bands or slices precede rows and columns."""
    _check_streams(directory, source)
    decoders: list[Callable[[], tuple[NDArray[Any], bool]]] = [
        lambda: _decode_with_tifffile(directory, source),
        lambda: _decode_with_gdal(directory, source, limit),
    ]
    if directory.compression == Compression.LERC or 24 in directory.bits_per_sample:
        # tifffile does not request masks, and swaps four bytes of the three of big-endian integers.
        decoders = decoders[1:]
    failures = []
    for decoder in decoders:
        try:
            pixels, planes_first = decoder()
        except MemoryError:
            raise
        except Exception as error:
            failures.append(f"{type(error).__name__}: {str(error)[:120]}")
            continue
        if pixels.size and pixels.ndim in (2, 3) and pixels.dtype.kind in "biufc":
            return pixels, planes_first
        failures.append(f"an array of shape {pixels.shape}")
    raise UnsupportedTIFFError(
        f"{reason.message} No decoder reads it either ({'; '.join(failures)}).",
        kind=reason.kind,
        ifd=directory.index,
        tag=reason.tag,
    ) from reason


def _check_streams(directory: ImageFileDirectory, source: ByteSource) -> None:
    """Check the size that streams state: tifffile compares it after it has decoded them."""
    name = stream_codec(directory.compression)
    if name is None:
        return
    codecs: tuple[Codec, ...] = ({"name": name},)
    segments = zip(directory.offsets.tolist(), directory.byte_counts.tolist(), strict=False)
    for start, count in dict.fromkeys(segments):
        if count and start + count <= source.size:
            check_decoded(codecs, source.read_sync(start, count), _tile_bytes(directory))


def _decode_with_tifffile(
    directory: ImageFileDirectory, source: ByteSource
) -> tuple[NDArray[Any], bool]:
    with open_with_tifffile(source) as tif:
        tif.filehandle.seek(directory.position)
        page = tifffile.TiffPage(tif, index=directory.index)
        pixels: NDArray[Any] = np.asarray(page.asarray(maxworkers=1))
    return pixels, pixels.ndim == 3 and page.axes[-1] != "S"


def _decode_with_gdal(
    directory: ImageFileDirectory, source: ByteSource, limit: int
) -> tuple[NDArray[Any], bool]:
    # Optional: GDAL reads some encodings that no other decoder reads, but is a large dependency.
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile

    if len(directory.index) > 1:
        raise InvalidTIFFError("GDAL does not list sub-IFDs.")
    if source.size > limit:
        raise InvalidTIFFError(f"the file has {source.size} bytes, more than {limit}.")
    data = source.read_sync(0, source.size)
    with warnings.catch_warnings(), MemoryFile(data) as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        name = f"GTIFF_DIR:off:{directory.position}:{memory.name}"
        with rasterio.open(name) as dataset:
            return np.asarray(dataset.read()), True


def _plan(
    directory: ImageFileDirectory,
    source: Source,
    pixels: NDArray[Any],
    planes_first: bool,
    reason: UnsupportedTIFFError,
    options: ImageOptions,
) -> ArrayPlan:
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[None]
    elif not planes_first:
        pixels = np.moveaxis(pixels, -1, 0)
    volume = directory.image_depth > 1
    if options.bands is not None and not volume:
        check_bands(options.bands, len(pixels), directory)
        pixels = pixels[[band - 1 for band in options.bands]]
    planes, height, width = pixels.shape
    axes = Axes(
        planes, planes, "z" if volume else "band", last=options.band_axis == "last" and not volume
    )
    values = np.ascontiguousarray(axes.arrange_grid(pixels)).astype(
        pixels.dtype.newbyteorder("="), copy=False
    )
    row_bytes = width * planes * values.itemsize
    rows = min(height, max(1, _TARGET_CHUNK_BYTES // row_bytes))
    chunk_shape = axes.arrange(planes, rows, width)
    grid = tuple(math.ceil(s / c) for s, c in zip(values.shape, chunk_shape, strict=True))
    plan = ArrayPlan(
        shape=values.shape,
        chunk_shape=chunk_shape,
        data_type=values.dtype,
        codecs=_CODECS,
        fill_value=values.dtype.type(0).item(),
        dimension_names=axes.arrange(axes.name, "y", "x"),
        source=source,
        ifd=directory.index,
        offsets=np.zeros(grid, np.uint64),
        lengths=np.zeros(grid, np.uint64),
        attributes={"copied_because": reason.message},
    )
    inline: dict[ChunkIndex, bytes] = encode_chunks(plan, values)
    return replace(plan, inline=inline)
