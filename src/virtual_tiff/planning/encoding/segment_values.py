"""Offsets and byte counts of all segments of an image, also where the directory leaves some out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, InvalidTIFFError
from virtual_tiff.planning.encoding.chunks import ChunkValues, SegmentFacts, offsets_tag
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Missing segments that a directory may leave out, beyond as many as it lists.
_MOST_UNLISTED = 1024


def segment_offsets(ifd: ImageFileDirectory) -> ChunkValues:
    """Return the offset of each segment, by plane, row and column of the grid.

    Raises
    ------
    InvalidTIFFError
        There are too few; or all are 0 although segments have bytes, as some writers of BigTIFF
        leave them. libtiff and tifffile then read the header as pixels.
    """
    tag = offsets_tag(ifd)
    offsets = _shaped(ifd, ifd.offsets, tag)
    if not offsets.any() and ifd.byte_counts.any():
        most = int(ifd.byte_counts.max())
        raise ifd.invalid(tag, f"all offsets are 0, but segments have up to {most} bytes.")
    return offsets


def _counts_tag(ifd: ImageFileDirectory) -> Tag:
    return Tag.TILE_BYTE_COUNTS if ifd.is_tiled else Tag.STRIP_BYTE_COUNTS


def _shaped(ifd: ImageFileDirectory, values: NDArray[np.uint64], tag: Tag) -> ChunkValues:
    planes, down, across = ifd.grid_shape
    needed = planes * down * across
    # Fewer counts than offsets: GDAL and tifffile take the others as missing, but their data may
    # well be there, as some writers leave counts out; see `_are_packed`. Fewer offsets are damage.
    listed = values.size if ifd.offsets.size == ifd.byte_counts.size else 0
    if 0 < listed < needed <= 2 * listed + _MOST_UNLISTED:
        # Segments that the directory does not list are missing, as for libtiff and tifffile.
        values = np.concatenate([values, np.zeros(needed - values.size, np.uint64)])
    if values.size < needed:
        raise InvalidTIFFError(
            f"{values.size} values for {needed} segments ({planes} × {down} × {across}).",
            kind=ErrorKind.INVALID_SEGMENT if values.size else ErrorKind.MISSING_TAG,
            ifd=ifd.index,
            tag=tag,
        )
    # Some writers leave surplus values, which libtiff ignores too.
    return values[:needed].reshape(planes, down, across)


def segment_counts(
    ifd: ImageFileDirectory, offsets: ChunkValues, facts: SegmentFacts
) -> ChunkValues:
    """Return the byte count of each segment, by plane, row and column of the grid."""
    file_size, compressed = facts.file_size, facts.compressed
    segment_bytes = ifd.tile_depth * ifd.segment_shape[0] * facts.row_bytes
    counts = ifd.byte_counts
    # A single strip at an offset, of 0 bytes: a count that a writer left out. For libtiff and
    # tifffile, a tile is missing then, and one of several strips too. Surplus counts say nothing.
    one_strip = offsets.size == 1 and not ifd.is_tiled
    absent = counts.size == 0 or (one_strip and counts[0] == 0)
    one_in_each_plane = offsets.shape[1:] == (1, 1)
    if absent and one_in_each_plane and not compressed:
        return np.full(offsets.shape, segment_bytes, np.uint64)
    if absent and one_in_each_plane and bool(np.all((offsets > 0) & (offsets < file_size))):
        # Segments without a byte count end at the end of the file, and every decoder stops at the
        # end of its stream. Of several in a plane, libtiff refuses and tifffile reads the first.
        return np.array(file_size, np.uint64) - offsets
    lacks_counts = counts.size > 0 and (counts.size < offsets.size or not counts.any())
    if lacks_counts and not compressed and _are_packed(offsets, segment_bytes):
        return np.full(offsets.shape, segment_bytes, np.uint64)
    return _shaped(ifd, counts, _counts_tag(ifd))


def _are_packed(offsets: ChunkValues, segment_bytes: int) -> bool:
    """Return whether whole segments of each plane follow each other, without a gap.

    Uncompressed ones need no counts then: offsets of missing segments would be 0.
    """
    of_planes = offsets.reshape(len(offsets), -1)
    steps = of_planes[:, 1:] - of_planes[:, :-1]
    return bool(of_planes.all() and steps.size and np.all(steps == np.uint64(segment_bytes)))
