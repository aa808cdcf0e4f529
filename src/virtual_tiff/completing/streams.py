"""Compare streams of whole images, such as JPEG, with what their directory says of them.

A few streams tell of which kind all are. Small files, whose streams take one request, are
decoded with the codecs that readers will use.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from virtual_tiff.completing.bounded import decoded_bytes
from virtual_tiff.completing.chunks import configured, decode_chunks
from virtual_tiff.completing.fax import check_fax, is_fax
from virtual_tiff.completing.fetching import fetch, fetch_all, present
from virtual_tiff.errors import ErrorKind, UnsupportedTIFFError
from virtual_tiff.planning.axes import axis_of
from virtual_tiff.planning.encoding.codec_chain import SMALL_FILE_BYTES
from virtual_tiff.planning.encoding.stream_headers import (
    frame_of,
    is_jfif,
    start_of_data,
)
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.tags import JPEG_2000_STARTS

#: Streams of a small file are all decoded if their pixels have at most so many bytes.
_MOST_DECODED_BYTES = 32 * 1024 * 1024
#: Bytes at the start of a stream that contain its frame header.
_STREAM_HEAD = 64 * 1024
#: Planes of a larger image whose first stream is decoded.
_MOST_PLANES = 4


async def check_kind(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    """Refuse streams that are not what their compression says, and check them as all others."""
    indices = present(plan)
    if not indices:
        return plan
    data = await fetch(plan, source, indices[0], _STREAM_HEAD)
    is_jpeg = _is_jpeg(plan)
    if not (_is_whole_jpeg(plan, data) if is_jpeg else data.startswith(JPEG_2000_STARTS)):
        what = "JPEG" if is_jpeg else "JPEG 2000"
        raise UnsupportedTIFFError(
            f"the segments begin with {data[:4]!r}, which is no {what} stream of the image.",
            kind=ErrorKind.UNSUPPORTED_COMPRESSION,
        )
    return await check_streams(plan, source) if _is_small(plan, source) else plan


async def check_streams(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    """Decode streams, all those of a small file, else the first of each plane and the last.

    Returns
    -------
    ArrayPlan
        With the colours of JPEG streams, where they are not those of the directory.

    Raises
    ------
    UnsupportedTIFFError
        A stream cannot be decoded by the codecs of the plan.
    """
    padded = {segment.index for segment in plan.partial}
    indices = [index for index in present(plan) if index not in padded]
    if not indices:
        return plan
    if _is_jpeg(plan):
        plan = _with_colors(plan, await fetch(plan, source, indices[0], _STREAM_HEAD))
    streams = await fetch_all(plan, source, chosen(plan, source, indices))

    def check() -> None:
        with source.budget.working():
            decode_chunks(plan, streams)
            if is_fax(plan):
                check_fax(plan, streams)

    await asyncio.to_thread(check)
    return plan


def chosen(
    plan: ArrayPlan, source: ByteSource, indices: Sequence[ChunkIndex]
) -> Sequence[ChunkIndex]:
    """Return the chunks whose streams are decoded: all those of a small file, or a few."""
    return indices if _is_small(plan, source) else _sample(plan, indices)


def _is_jpeg(plan: ArrayPlan) -> bool:
    return plan.codecs[-1]["name"] == "imagecodecs_jpeg"


def _is_small(plan: ArrayPlan, source: ByteSource) -> bool:
    pixels = math.prod(plan.chunk_shape) * math.prod(plan.grid_shape)
    return (
        source.size <= SMALL_FILE_BYTES and pixels * plan.data_type.itemsize <= _MOST_DECODED_BYTES
    )


def _sample(plan: ArrayPlan, indices: Sequence[ChunkIndex]) -> list[ChunkIndex]:
    """Return the first chunk of a few planes, and the last of all; none if chunks are large.

    The last is in the corner, where some writers end tiles with the image.
    """
    if decoded_bytes(plan, plan.chunk_shape) > _MOST_DECODED_BYTES:
        return []
    image = [i for i, name in enumerate(plan.dimension_names) if axis_of(name) in ("y", "x")]
    first: dict[ChunkIndex, ChunkIndex] = {}
    for index in indices:
        plane = tuple(0 if i in image else place for i, place in enumerate(index))
        first.setdefault(plane, index)
    chosen = dict.fromkeys([*list(first.values())[:_MOST_PLANES], indices[-1]])
    return [index for index in chosen if int(plan.lengths[index]) <= _MOST_DECODED_BYTES]


def _with_colors(plan: ArrayPlan, data: bytes) -> ArrayPlan:
    """Return a plan with the colours of a stream, where the directory is wrong about them.

    Lossless JPEG that is declared YCbCr is RGB, which decoders refuse to convert; a stream of JFIF
    does hold YCbCr. So does a subsampled one that is declared RGB, which libtiff refuses.
    """
    frame = frame_of(data)
    if frame is None or frame.components != 3:
        return plan
    *before, codec = plan.codecs
    configuration = codec.get("configuration", {})
    declared = configuration.get("colorspace_jpeg") if isinstance(configuration, dict) else None
    if declared == "RGB" and frame.is_subsampled and is_jfif(data):
        colors = "YCbCr"
    elif frame.is_lossless and not is_jfif(data):
        colors = "RGB"
    else:
        return plan
    changed = configured(codec, {"colorspace_jpeg": colors, "colorspace_data": "RGB"})
    return replace(plan, codecs=(*before, changed))


def _is_whole_jpeg(plan: ArrayPlan, data: bytes) -> bool:
    """Return whether a stream has all that a decoder needs, and the size of a chunk."""
    frame = frame_of(data)
    start = start_of_data(data)
    sizes = {axis_of(n): c for n, c in zip(plan.dimension_names, plan.chunk_shape, strict=True)}
    samples = math.prod(plan.chunk_shape) // (sizes["y"] * sizes["x"])
    return (
        frame is not None
        and start is not None
        # Another stream within the first: tables apart from their strip.
        and b"\xff\xd8" not in data[start:]
        and (frame.width, frame.components) == (sizes["x"], samples)
        and frame.height <= sizes["y"]
    )
