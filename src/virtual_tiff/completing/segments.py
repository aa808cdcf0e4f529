"""Pad segments that have fewer rows than a chunk: fetch, decode, pad, encode.

Rows are decoded and encoded with the codecs that readers will use, through a Zarr array in memory,
and the result is decoded again and compared with the original.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from virtual_tiff.completing.bounded import (
    MAX_OVERHEAD,
    decoded_bytes,
    decompressed,
    first_bytes,
)
from virtual_tiff.completing.chunks import decode, encode, inside_image
from virtual_tiff.completing.fetching import CONCURRENCY, fetch, present
from virtual_tiff.completing.inspecting import (
    has_sizes,
    inspect,
    resized,
    segment_bytes,
    sized_bytes,
)
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError, VirtualTIFFError
from virtual_tiff.planning.axes import axis_of
from virtual_tiff.planning.encoding.stream_headers import (
    HEADER_BYTES,
    LercHeader,
    frame_header,
    lerc_header,
    with_frame_height,
)
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex, GroupPlan, PartialSegment
from virtual_tiff.planning.stacks import samples_of
from virtual_tiff.storage.budget import Budget
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.concurrency import in_flight

#: Largest decoded size in bytes of a chunk that a short strip is padded to.
MAX_PADDED_BYTES = 32 * 1024 * 1024
#: Bytes of a compressed LERC segment that contain its first 30 decoded bytes in any case: one block
#: of a Zstandard frame at most (RFC 8878 section 3.1.1.2.4), and more than Deflate needs.
_LERC_HEAD_BYTES = 160 * 1024


async def complete(plan: GroupPlan, sources: Mapping[str, ByteSource]) -> GroupPlan:
    """Inspect the segments that a directory does not describe completely.

    Partial segments become inline chunks. LERC segments that mask pixels are refused.

    Parameters
    ----------
    plan
        A plan whose references point into `sources`.
    sources
        The TIFF and its sidecars by URL; one GET for each inspected segment.

    Raises
    ------
    InvalidTIFFError
        A segment cannot be decoded.
    UnsupportedTIFFError
        A segment cannot be encoded again without loss, or masks pixels.
    """
    arrays = {
        name: array
        if array.source is None
        else await _complete_array(array, sources[array.source.url])
        for name, array in plan.arrays.items()
    }
    groups = {name: await complete(group, sources) for name, group in plan.groups.items()}
    return replace(plan, arrays=arrays, groups=groups)


async def _complete_array(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    try:
        if plan.inspection is not None:
            plan = await inspect(plan, source)
        if plan.is_lerc:
            plan = await _check_lerc(plan, source)
        return await _complete_partial(plan, source) if plan.partial else plan
    except VirtualTIFFError as error:
        raise error.at(url=source.source.url, ifd=plan.ifd) from error.__cause__


async def _complete_partial(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    lengths = plan.lengths.copy()
    inline: dict[ChunkIndex, bytes] = dict(plan.inline)
    attributes = dict(plan.attributes)
    for segment in plan.partial:
        image = plan if segment.image is None else segment.image
        try:
            check_size(image, segment.length)
            data = plan.inline.get(segment.index)
            if data is None:
                data = await source.read_uncached(segment.offset, segment.length)
            padded = await asyncio.to_thread(_pad_counted, image, segment, data, source.budget)
        except VirtualTIFFError as error:
            raise error.at(ifd=image.ifd) from error.__cause__
        if padded is None:
            continue
        inline[segment.index], difference = padded
        lengths[segment.index] = 0
        if difference:
            known = attributes.get(_DIFFERENCE, 0)
            attributes[_DIFFERENCE] = max(difference, known if isinstance(known, int) else 0)
    return replace(plan, lengths=lengths, inline=inline, partial=(), attributes=attributes)


async def _check_lerc(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    """Refuse masked pixels, for which decoders return 0 without an error.

    A segment without valid pixels becomes a missing chunk if the fill value is NaN.
    """
    outer = str(plan.codecs[-1]["name"])
    head_bytes = HEADER_BYTES if outer == "imagecodecs_lerc" else _LERC_HEAD_BYTES
    headers: dict[ChunkIndex, LercHeader] = {}

    async def read(index: ChunkIndex) -> None:
        data = await _segment(plan, source, index, head_bytes)
        headers[index] = lerc_header(first_bytes(outer, data, HEADER_BYTES))

    async def hides_pixels(index: ChunkIndex, head: LercHeader) -> bool:
        """Return whether a masked pixel is inside the image, not in the padding of an edge tile."""
        rows, columns = inside_image(plan, index)
        if head.valid < rows * columns:
            return True
        if head.rows * head.columns * head.samples != math.prod(plan.chunk_shape):
            raise InvalidTIFFError(
                f"a LERC segment has {head.rows} × {head.columns} pixels, and its chunk "
                f"{plan.chunk_shape}.",
                kind=ErrorKind.INVALID_SEGMENT,
            )
        data = await _segment(plan, source, index)
        mask = await asyncio.to_thread(_lerc_mask, data, outer, nbytes)
        return not bool(mask[..., :rows, :columns].all())

    indices = [*present(plan), *plan.inline]
    await in_flight(indices, CONCURRENCY, read)
    samples = samples_of(plan)
    nbytes = decoded_bytes(plan, plan.chunk_shape)
    lengths = plan.lengths.copy()
    inline = dict(plan.inline)
    fill_is_nan = isinstance(plan.fill_value, float) and math.isnan(plan.fill_value)
    for index in indices:
        head = headers[index]
        # Bands with masks of their own have one value per pixel; the header is of the first.
        if head.is_empty and head.samples == samples and fill_is_nan:
            lengths[index] = 0
            inline.pop(index, None)
            continue
        if head.samples != samples:
            what = f"holds {head.samples} values per pixel for {samples} samples"
        elif head.is_masked and await hides_pixels(index, head):
            what = "masks pixels"
        else:
            continue
        raise UnsupportedTIFFError(
            f"the LERC segment of chunk {index} {what}; decoders return what is masked as 0.",
            kind=ErrorKind.UNSUPPORTED_MASK,
        )
    return replace(plan, lengths=lengths, inline=inline)


async def _segment(
    plan: ArrayPlan, source: ByteSource, index: ChunkIndex, count: int | None = None
) -> bytes:
    """Return the first bytes of a segment, or all."""
    stored = plan.inline.get(index)
    return await fetch(plan, source, index, count) if stored is None else stored[:count]


def _lerc_mask(data: bytes, outer: str, nbytes: int) -> NDArray[np.bool_]:
    """Return which pixels of a segment are valid; its chunk has so many bytes."""
    data = decompressed(outer, data, 2 * nbytes + MAX_OVERHEAD)
    try:
        _, mask = imagecodecs.lerc_decode(data, masks=True)
    except imagecodecs.LercError as error:
        raise InvalidTIFFError(
            f"a LERC segment cannot be decoded ({error}).", kind=ErrorKind.INVALID_SEGMENT
        ) from error
    return np.asarray(mask, bool)


#: Attribute: largest difference between the rows of the last strip and those of the TIFF.
_DIFFERENCE = "largest_difference_in_last_strip"
#: Largest difference in grey levels of a lossy strip whose stream was lengthened.
_TOLERANCE = 4


def check_size(plan: ArrayPlan, length: int) -> None:
    """Refuse chunks that are too large to pad, and segments too large for their chunk."""
    nbytes = decoded_bytes(plan, plan.chunk_shape)
    if nbytes > MAX_PADDED_BYTES:
        raise UnsupportedTIFFError(
            f"the last strip is short, and padded to a chunk of {nbytes} bytes, more than "
            f"{MAX_PADDED_BYTES}.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
            remedy="Rewrite the file with tiles.",
        )
    if length > 2 * nbytes + 2 * MAX_OVERHEAD:
        raise InvalidTIFFError(
            f"a segment has {length} bytes, and its chunk decodes to {nbytes}.",
            kind=ErrorKind.INVALID_SEGMENT,
        )


def _pad_counted(
    plan: ArrayPlan, segment: PartialSegment, data: bytes, budget: Budget
) -> tuple[bytes, int] | None:
    """Pad a segment within the budget of its file."""
    with budget.working():
        budget.pad(decoded_bytes(plan, plan.chunk_shape))
        padded = pad_segment(plan, segment, data)
        if padded is not None:
            budget.keep(len(padded[0]))
    return padded


def pad_segment(plan: ArrayPlan, segment: PartialSegment, data: bytes) -> tuple[bytes, int] | None:
    """Return a whole chunk that begins with the rows of `segment`, and their largest difference.

    It is 0 except for JPEG streams with vertically subsampled chroma, whose last row depends on the
    row below it. `None` for a segment that decodes to a whole chunk, since some writers pad it.
    """
    if has_sizes(plan):
        return _pad_bytes(plan, segment, data)
    name = plan.codecs[-1]["name"]
    if name == "imagecodecs_jpeg":
        return _pad_jpeg_strip(plan, segment, data)
    if name == "imagecodecs_ccittfax3":
        return _lengthen_fax(plan, segment, data)
    try:
        rows = decode(plan, segment.shape, data)
    except InvalidTIFFError:
        decode(plan, plan.chunk_shape, data)
        return None
    whole = _padded(plan, rows)
    try:
        encoded = encode(plan, whole)
    except Exception as error:
        raise UnsupportedTIFFError(
            f"the last strip has {segment.shape} of {plan.chunk_shape} elements, and its codec "
            f"cannot encode the missing rows ({error}).",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
        ) from error
    if decode(plan, plan.chunk_shape, encoded).tobytes() != whole.tobytes():
        raise UnsupportedTIFFError(
            "the last strip changes when it is encoded again.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
        )
    return encoded, 0


def _pad_bytes(plan: ArrayPlan, segment: PartialSegment, data: bytes) -> tuple[bytes, int] | None:
    """Pad or cut a segment that a codec makes of bytes; its rows follow each other."""
    whole = segment_bytes(plan)
    decoded, is_exact = sized_bytes(plan, data, whole)
    if is_exact:
        return None
    needed = whole * math.prod(segment.shape) // math.prod(plan.chunk_shape)
    if len(decoded) < needed:
        raise InvalidTIFFError(
            f"a segment decodes to {len(decoded)} of {needed} bytes.",
            kind=ErrorKind.INVALID_SEGMENT,
        )
    return resized(plan, decoded, whole), 0


def _lengthen_fax(
    plan: ArrayPlan, segment: PartialSegment, data: bytes
) -> tuple[bytes, int] | None:
    """Repeat a stream of Group 3 that the decoder cannot end before the last row of a chunk."""
    rows = decode(plan, segment.shape, data)
    with suppress(InvalidTIFFError):
        decode(plan, plan.chunk_shape, data)
        return None
    repeated = data * math.ceil(math.prod(plan.chunk_shape) / math.prod(segment.shape))
    try:
        found = decode(plan, plan.chunk_shape, repeated)
    except InvalidTIFFError:
        found = np.zeros_like(rows)
    if not np.array_equal(found[tuple(map(slice, segment.shape))], rows):
        raise UnsupportedTIFFError(
            f"the last strip has {segment.shape} of {plan.chunk_shape} elements, and its codec "
            "cannot decode it.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
        )
    return repeated, 0


def _pad_jpeg_strip(
    plan: ArrayPlan, segment: PartialSegment, data: bytes
) -> tuple[bytes, int] | None:
    """Pad a strip, some of whose rows may be outside the image, as some writers leave them."""
    axis = [*map(axis_of, plan.dimension_names)].index("y")
    height = frame_header(data).height
    if height == plan.chunk_shape[axis]:
        decode(plan, plan.chunk_shape, data)
        return None
    shape = tuple(height if i == axis else n for i, n in enumerate(segment.shape))
    rows = decode(plan, shape, data)
    return _pad_jpeg(plan, data, rows[tuple(slice(size) for size in segment.shape)])


def _pad_jpeg(plan: ArrayPlan, data: bytes, rows: NDArray[Any]) -> tuple[bytes, int]:
    """Raise the number of rows in the stream, which avoids a lossy encoding.

    If chroma is subsampled vertically and the last row changes too much, the strip is encoded
    again, at the highest quality and without subsampling.
    """
    height = plan.chunk_shape[[*map(axis_of, plan.dimension_names)].index("y")]
    patched = with_frame_height(data, height)
    difference = _difference(plan, patched, rows)
    if difference > _TOLERANCE:
        patched = encode(plan, _padded(plan, rows))
        difference = _difference(plan, patched, rows)
    if difference > _TOLERANCE:
        raise UnsupportedTIFFError(
            f"the last strip is a JPEG stream whose rows change by {difference} levels when rows "
            "are added to it.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
        )
    return patched, difference


def _padded(plan: ArrayPlan, rows: NDArray[Any]) -> NDArray[Any]:
    padding = [(0, c - s) for c, s in zip(plan.chunk_shape, rows.shape, strict=True)]
    return np.pad(rows, padding, mode="edge")


def _difference(plan: ArrayPlan, encoded: bytes, rows: NDArray[Any]) -> int:
    """Return the largest difference between the rows of a segment and of a padded chunk."""
    whole = decode(plan, plan.chunk_shape, encoded)
    valid = whole[tuple(slice(size) for size in rows.shape)]
    return int(np.abs(valid.astype(np.int64) - rows.astype(np.int64)).max(initial=0))
