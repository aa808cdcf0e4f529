"""Plan a regular chunk grid over strips or tiles, and the byte range of each chunk.

All Zarr chunks of an array have one shape, as tiles have. The last strip may be short: this module
avoids a copy where possible; otherwise it reports `partial_rows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import ImageFileDirectory

type ChunkValues = NDArray[np.uint64]

#: Target size in bytes of a chunk of uncompressed rows: large compared with the latency of a
#: request, small enough to read a window.
TARGET_CHUNK_BYTES = 1024 * 1024
#: A divisor of the image height is used as chunk height if it gives at least this fraction of the
#: target.
_SMALLEST_SHARE = 8
#: Missing segments that a directory may leave out, beyond as many as it lists.
_MOST_UNLISTED = 1024
#: Largest decoded size of one chunk in bytes that readers can be expected to support.
MAX_CHUNK_BYTES = 2**32


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
    """

    rows: int
    columns: int
    offsets: ChunkValues
    lengths: ChunkValues
    partial_rows: int = 0


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


def chunk_grid(ifd: ImageFileDirectory, facts: SegmentFacts) -> ChunkGrid:
    """Plan a regular grid over the segments of an image."""
    _check_size(ifd, facts)
    offsets = _shaped(ifd, ifd.offsets, _offsets_tag(ifd))
    counts = _byte_counts(ifd, offsets, facts)
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
        kept = _are_regular(ifd, offsets, counts, facts)
    elif not facts.compressed or (not ifd.is_tiled and needed == 1):
        kept = counts.any(axis=(1, 2, 3))
    of_planes = (-1, *shape[1:])
    grid = _grid(ifd, offsets[kept].reshape(of_planes), counts[kept].reshape(of_planes), facts)
    return grid, np.array(chosen, np.intp)[kept]


def _are_regular(
    ifd: ImageFileDirectory, offsets: ChunkValues, counts: ChunkValues, facts: SegmentFacts
) -> NDArray[np.bool_]:
    """Return which images have all their strips, and no chunk that ends beyond the file.

    If strips may be put together, they have to follow each other.
    """
    strip_bytes = ifd.rows_per_strip * facts.row_bytes
    # A chunk of rows that begins in the last strip, and has rows that the image has not.
    most = strip_bytes + min(TARGET_CHUNK_BYTES, ifd.image_length * facts.row_bytes)
    there = (offsets > 0) & (counts > 0) & (offsets < max(0, facts.file_size - most))
    regular: NDArray[np.bool_] = there.all(axis=(1, 2, 3))
    if facts.merge_strips:
        steps = np.diff(offsets, axis=2) == np.uint64(strip_bytes)
        regular &= steps.all(axis=(1, 2, 3))
    return regular


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
        return _uncompressed_strips(ifd, offsets, sparse, facts)
    if not facts.compressed:
        _check_whole(ifd, counts, sparse, facts.row_bytes)
    decoded = np.uint64(ifd.tile_depth * rows * facts.row_bytes)
    lengths = np.where(sparse, 0, counts if facts.compressed else decoded)
    if facts.clipped and facts.compressed:
        size = np.uint64(facts.file_size)
        left = size - np.minimum(offsets, size)
        lengths = np.where(left > 0, np.minimum(lengths, left), lengths)
    _check_inside(ifd, offsets, lengths, facts.file_size)
    partial = 0 if ifd.is_tiled or not lengths[:, -1].any() else ifd.image_length % rows
    return ChunkGrid(*ifd.segment_shape, offsets, lengths, partial)


def _uncompressed_strips(
    ifd: ImageFileDirectory,
    offsets: ChunkValues,
    sparse: NDArray[np.bool_],
    facts: SegmentFacts,
) -> ChunkGrid:
    """Divide uncompressed rows anywhere; the bytes of a chunk may extend beyond its rows."""
    file_size, row_bytes, merge = facts.file_size, facts.row_bytes, facts.merge_strips
    planes, strips, _ = offsets.shape
    strip, height = ifd.rows_per_strip, ifd.image_length
    strip_bytes = np.uint64(strip * row_bytes)
    last = (strips - 1) * strip
    ends = offsets[:, -1, 0] + np.uint64((height - last) * row_bytes)
    _check_inside(
        ifd,
        offsets[:, -1:],
        (ends - offsets[:, -1, 0])[:, None, None],
        file_size,
        where=~sparse[:, -1:],
    )
    contiguous = (merge and not sparse.any()) and bool(
        np.all(offsets[:, 1:, 0] - offsets[:, :-1, 0] == strip_bytes)
    )
    if contiguous:
        return _contiguous(offsets[:, 0, 0], ifd, row_bytes, file_size)

    rest = height - last
    if rest != strip:
        if bool(np.all(sparse[:, -1, 0] | (offsets[:, -1, 0] + strip_bytes <= file_size))):
            # The file continues after the last strip; rows beyond the image are not visible.
            rest = strip
        elif merge and (divisor := gcd(strip, rest)) * _SMALLEST_SHARE >= strip:
            parts = strip // divisor
            steps = np.arange(parts, dtype=np.uint64) * np.uint64(divisor * row_bytes)
            fine = (offsets[:, :, 0, None] + steps).reshape(planes, -1, 1)
            hidden = np.repeat(sparse, parts, axis=1)
            chunks = -(-height // divisor)
            lengths = np.where(hidden, 0, np.uint64(divisor * row_bytes))[:, :chunks]
            fine = fine[:, :chunks]
            _check_inside(ifd, fine, lengths, file_size)
            return ChunkGrid(divisor, ifd.image_width, fine, lengths)
    lengths = np.where(sparse, 0, strip_bytes)
    if rest != strip:
        lengths[:, -1] = np.where(sparse[:, -1], 0, np.uint64(rest * row_bytes))
    _check_inside(ifd, offsets, lengths, file_size)
    partial = rest if rest != strip and lengths[:, -1].any() else 0
    return ChunkGrid(strip, ifd.image_width, offsets, lengths, partial)


def _contiguous(
    starts: NDArray[np.uint64], ifd: ImageFileDirectory, row_bytes: int, file_size: int
) -> ChunkGrid:
    """Divide contiguous rows into chunks of about `TARGET_CHUNK_BYTES`."""
    height = ifd.image_length
    wanted = min(height, max(1, TARGET_CHUNK_BYTES // row_bytes))
    rows = _largest_divisor(height, wanted)
    if rows * _SMALLEST_SHARE < wanted:
        rows = wanted
    chunks = -(-height // rows)
    steps = np.arange(chunks, dtype=np.uint64) * np.uint64(rows * row_bytes)
    offsets = (starts[:, None] + steps)[:, :, None]
    lengths = np.full(offsets.shape, rows * row_bytes, np.uint64)
    rest = height - (chunks - 1) * rows
    partial = 0
    if rest != rows and bool(np.any(offsets[:, -1] + lengths[:, -1] > file_size)):
        lengths[:, -1] = rest * row_bytes
        partial = rest
    _check_inside(ifd, offsets, lengths, file_size)
    return ChunkGrid(rows, ifd.image_width, offsets, lengths, partial)


def _largest_divisor(number: int, limit: int) -> int:
    """Return the largest divisor of `number` that is at most `limit`."""
    best = 1
    for low in range(1, int(number**0.5) + 1):
        if number % low == 0:
            for divisor in (low, number // low):
                if best < divisor <= limit:
                    best = divisor
    return best


def _offsets_tag(ifd: ImageFileDirectory) -> Tag:
    return Tag.TILE_OFFSETS if ifd.is_tiled else Tag.STRIP_OFFSETS


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


def _byte_counts(ifd: ImageFileDirectory, offsets: ChunkValues, facts: SegmentFacts) -> ChunkValues:
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


def _check_inside(
    ifd: ImageFileDirectory,
    offsets: ChunkValues,
    lengths: ChunkValues,
    file_size: int,
    where: NDArray[np.bool_] | None = None,
) -> None:
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
            tag=_offsets_tag(ifd),
            remedy="The file was cut short: copy or download it again.",
        )
