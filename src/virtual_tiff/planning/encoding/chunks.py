"""A regular grid of chunks over the segments of an image, and what it depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

type ChunkValues = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkGrid:
    """Chunks of one image.

    Parameters
    ----------
    rows, columns
        Shape of a chunk in pixels.
    offsets, lengths
        Shape `(planes, chunks down, chunks across)`, uint64, bytes; length 0 is a missing chunk.
    partial_rows
        Rows in the file of the chunks at the lower edge, if too few to decode to a whole chunk;
        else 0.
    whole_bytes
        Length of chunks at the lower edge that are whole all the same; 0 if none is.
    """

    rows: int
    columns: int
    offsets: ChunkValues
    lengths: ChunkValues
    partial_rows: int = 0
    whole_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """What images that are alike have in common.

    Parameters
    ----------
    file_size
        Bytes of the file; no segment may end beyond it.
    row_bytes
        Decoded bytes of a row of a segment.
    compressed
        Whether a segment can only be decoded whole.
    merge_strips
        Whether uncompressed strips may be divided and put together.
    clipped
        Whether compressed segments that begin in the file end with it.
    """

    file_size: int
    row_bytes: int
    compressed: bool
    merge_strips: bool = True
    clipped: bool = False


def offsets_tag(ifd: ImageFileDirectory) -> Tag:
    """Return the tag of the offsets of segments."""
    return Tag.TILE_OFFSETS if ifd.is_tiled else Tag.STRIP_OFFSETS


def check_inside(
    ifd: ImageFileDirectory,
    offsets: ChunkValues,
    lengths: ChunkValues,
    file_size: int,
    where: NDArray[np.bool_] | None = None,
) -> None:
    """Refuse segments that end beyond the file, or of these only those of `where`."""
    size = np.uint64(file_size)
    # Not offsets + lengths > size, which can wrap around.
    outside = lengths > size - np.minimum(offsets, size)
    if where is not None:
        outside &= where
    if outside.any():
        first = int(np.argmax(outside))
        raise InvalidTIFFError(
            f"segment {first} ({int(lengths.flat[first])} bytes at offset "
            f"{int(offsets.flat[first])}) lies beyond the end of the file ({file_size} bytes).",
            kind=ErrorKind.TRUNCATED,
            ifd=ifd.index,
            tag=offsets_tag(ifd),
            remedy="The file was cut short: copy or download it again.",
        )
