"""Plan a regular chunk grid over strips or tiles, and the byte range of each chunk.

All Zarr chunks of an array have one shape, as tiles have. The last strip may be short: this module
avoids a copy where possible; otherwise it reports `partial_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.planning.encoding.chunks import (
    ChunkGrid,
    ChunkValues,
    SegmentFacts,
    check_inside,
)
from virtual_tiff.planning.encoding.segment_values import segment_counts, segment_offsets
from virtual_tiff.planning.encoding.strips import are_regular, strip_grid
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Largest decoded size of one chunk in bytes that readers can be expected to support.
MAX_CHUNK_BYTES = 2**32


def chunk_grid(ifd: ImageFileDirectory, facts: SegmentFacts) -> ChunkGrid:
    """Plan a regular grid over the segments of an image."""
    _check_size(ifd, facts)
    offsets = segment_offsets(ifd)
    counts = segment_counts(ifd, offsets, facts)
    return _grid(ifd, offsets, counts, facts)


def chunk_grids(
    ifds: Sequence[ImageFileDirectory], facts: SegmentFacts
) -> tuple[ChunkGrid, NDArray[np.intp]]:
    """Plan the grids of images that differ only in their segments, all at once.

    Returns
    -------
    ChunkGrid
        The planes of one image after those of the other.
    ndarray
        Which images these are. Others need a plan of their own: those that leave values out, end
        with the file, or have gaps between strips.
    """
    ifd = ifds[0]
    shape = ifd.grid_shape
    needed = prod(shape)
    chosen = [i for i, one in enumerate(ifds) if one.offsets.size == one.byte_counts.size == needed]
    offsets = np.array([ifds[i].offsets for i in chosen], np.uint64).reshape(-1, *shape)
    counts = np.array([ifds[i].byte_counts for i in chosen], np.uint64).reshape(-1, *shape)
    kept = np.ones(len(chosen), np.bool_)
    if not ifd.is_tiled and not facts.compressed:
        kept = are_regular(ifd, offsets, counts, facts)
    elif not facts.compressed or (not ifd.is_tiled and needed == 1):
        kept = counts.any(axis=(1, 2, 3))
    kept &= offsets.any(axis=(1, 2, 3)) | ~counts.any(axis=(1, 2, 3))
    of_planes = (-1, *shape[1:])
    grid = _grid(ifd, offsets[kept].reshape(of_planes), counts[kept].reshape(of_planes), facts)
    return grid, np.array(chosen, np.intp)[kept]


def _check_size(ifd: ImageFileDirectory, facts: SegmentFacts) -> None:
    """Refuse chunks that readers cannot be expected to decode."""
    # Rows of uncompressed strips can be divided anywhere; other segments cannot.
    whole = facts.compressed or ifd.is_tiled or not facts.merge_strips
    nbytes = (ifd.segment_shape[0] * ifd.tile_depth if whole else 1) * facts.row_bytes
    if nbytes > MAX_CHUNK_BYTES or ifd.image_length * facts.row_bytes >= 2**62:
        raise UnsupportedTIFFError(
            f"one chunk would decode to {nbytes} bytes, more than {MAX_CHUNK_BYTES}.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
            ifd=ifd.index,
            remedy="Rewrite the file with tiles.",
        )


def _grid(
    ifd: ImageFileDirectory, offsets: ChunkValues, counts: ChunkValues, facts: SegmentFacts
) -> ChunkGrid:
    """Plan the grid of any number of planes."""
    rows, _ = ifd.segment_shape
    sparse = (offsets == 0) | (counts == 0)
    if not facts.compressed and not ifd.is_tiled:
        return strip_grid(ifd, offsets, sparse, facts)
    if not facts.compressed:
        _check_whole(ifd, counts, sparse, facts.row_bytes)
    decoded = np.uint64(ifd.tile_depth * rows * facts.row_bytes)
    lengths = np.where(sparse, 0, counts if facts.compressed else decoded)
    if facts.clipped and facts.compressed:
        size = np.uint64(facts.file_size)
        left = size - np.minimum(offsets, size)
        lengths = np.where(left > 0, np.minimum(lengths, left), lengths)
    if not facts.compressed and ifd.tile_depth == 1:
        return _tile_grid(ifd, offsets, counts, lengths, facts)
    check_inside(ifd, offsets, lengths, facts.file_size)
    partial = 0 if ifd.is_tiled or not lengths[:, -1].any() else ifd.image_length % rows
    return ChunkGrid(*ifd.segment_shape, offsets, lengths, partial)


def _tile_grid(
    ifd: ImageFileDirectory,
    offsets: ChunkValues,
    counts: ChunkValues,
    lengths: ChunkValues,
    facts: SegmentFacts,
) -> ChunkGrid:
    """Plan the grid of uncompressed tiles.

    Some writers leave out the rows below the image. That matters only at the very end of a file:
    elsewhere the bytes of the next tile take their place, where nothing is visible.
    """
    size = np.uint64(facts.file_size)
    left = size - np.minimum(offsets[:, -1], size)
    inside = ifd.image_length % ifd.segment_shape[0]
    short = (lengths[:, -1] > left) & (counts[:, -1] <= left) & (inside > 0)
    lengths[:, -1] = np.where(short, np.uint64(inside * facts.row_bytes), lengths[:, -1])
    check_inside(ifd, offsets, lengths, facts.file_size)
    partial = inside if short.any() else 0
    whole = ifd.segment_shape[0] * facts.row_bytes
    return ChunkGrid(*ifd.segment_shape, offsets, lengths, partial, whole)


def _check_whole(
    ifd: ImageFileDirectory, counts: ChunkValues, sparse: NDArray[np.bool_], row_bytes: int
) -> None:
    """Refuse uncompressed tiles with fewer bytes than their rows of the image take.

    Some writers end tiles at the edges with the image, so that their rows are shorter.
    """
    rows, _ = ifd.segment_shape
    inside = np.minimum(rows, ifd.image_length - rows * np.arange(counts.shape[1]))
    needed = ((ifd.tile_depth - 1) * rows + inside) * row_bytes
    if bool(((counts < needed[None, :, None].astype(np.uint64)) & ~sparse).any()):
        raise ifd.unsupported(
            ErrorKind.UNSUPPORTED_LAYOUT,
            Tag.TILE_BYTE_COUNTS,
            "uncompressed tiles are smaller than the directory says.",
        )
