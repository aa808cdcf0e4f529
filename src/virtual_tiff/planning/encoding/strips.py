"""Divide the rows of uncompressed strips into chunks, or put them together."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

from virtual_tiff.planning.encoding.chunks import (
    ChunkGrid,
    ChunkValues,
    SegmentFacts,
    check_inside,
)
from virtual_tiff.tiff.ifd import ImageFileDirectory

#: Target size in bytes of a chunk of uncompressed rows: large compared with the latency of a
#: request, small enough to read a window.
TARGET_CHUNK_BYTES = 1024 * 1024
#: A divisor of the image height is used as chunk height if it gives at least this fraction of the
#: target.
_SMALLEST_SHARE = 8


def are_regular(
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


def strip_grid(
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
    check_inside(
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
            check_inside(ifd, fine, lengths, file_size)
            return ChunkGrid(divisor, ifd.image_width, fine, lengths)
    lengths = np.where(sparse, 0, strip_bytes)
    if rest != strip:
        lengths[:, -1] = np.where(sparse[:, -1], 0, np.uint64(rest * row_bytes))
    check_inside(ifd, offsets, lengths, file_size)
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
    check_inside(ifd, offsets, lengths, file_size)
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
