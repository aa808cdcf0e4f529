"""Segments that hold fewer rows than a chunk: fetch, decode, pad, encode again.

The rows are decoded and encoded by the very codecs that readers will use, through a Zarr array in
memory, and the result is decoded once more and compared before it is trusted.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.buffer.cpu import Buffer
from zarr.storage import MemoryStore

from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.metadata import array_document, chunk_key, to_bytes
from virtual_tiff.plan import ArrayPlan, ChunkIndex, GroupPlan, PartialSegment
from virtual_tiff.reader import ByteSource


async def complete(plan: GroupPlan, source: ByteSource) -> GroupPlan:
    """Turn the partial segments of a group into inline chunks.

    Parameters
    ----------
    plan
        A plan whose references point into `source`.
    source
        The TIFF; one GET for each partial segment.

    Raises
    ------
    InvalidTIFFError
        A segment cannot be decoded.
    UnsupportedTIFFError
        A segment cannot be encoded again without loss.
    """
    if not _has_partial(plan):
        return plan
    arrays = {name: await _complete_array(array, source) for name, array in plan.arrays.items()}
    groups = {name: await complete(group, source) for name, group in plan.groups.items()}
    return replace(plan, arrays=arrays, groups=groups)


def _has_partial(plan: GroupPlan) -> bool:
    return any(array.partial for _, group in plan.walk() for array in group.arrays.values())


async def _complete_array(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    if not plan.partial:
        return plan
    lengths = plan.lengths.copy()
    inline: dict[ChunkIndex, bytes] = dict(plan.inline)
    for segment in plan.partial:
        data = await source.read_uncached(segment.offset, segment.length)
        inline[segment.index] = await asyncio.to_thread(pad_segment, plan, segment, data)
        lengths[segment.index] = 0
    return replace(plan, lengths=lengths, inline=inline, partial=())


def pad_segment(plan: ArrayPlan, segment: PartialSegment, data: bytes) -> bytes:
    """Return the bytes of a whole chunk whose first rows are those of `segment`."""
    rows = decode(plan, segment.shape, data)
    padding = [(0, c - s) for c, s in zip(plan.chunk_shape, segment.shape, strict=True)]
    whole = np.pad(rows, padding, mode="edge")
    try:
        encoded = encode(plan, whole)
    except Exception as error:
        raise UnsupportedTIFFError(
            f"the last strip has {segment.shape} of {plan.chunk_shape} elements, and its codec "
            f"cannot encode the missing rows ({error}).",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
            remedy='Pass on_unsupported="copy" to store the image itself.',
        ) from error
    if decode(plan, plan.chunk_shape, encoded).tobytes() != whole.tobytes():
        raise UnsupportedTIFFError(
            "the last strip changes when it is encoded again.",
            kind=ErrorKind.UNSUPPORTED_LAYOUT,
            remedy='Pass on_unsupported="copy" to store the image itself.',
        )
    return encoded


def decode(plan: ArrayPlan, shape: tuple[int, ...], data: bytes) -> NDArray[Any]:
    """Decode one chunk of a given shape with the codecs of a plan."""
    document = to_bytes(array_document(_one_chunk(plan, shape)))
    items: dict[str, bytes] = {"zarr.json": document, chunk_key((0,) * len(shape)): data}
    try:
        return np.asarray(_open(items)[0][...])
    except Exception as error:
        raise InvalidTIFFError(
            f"a segment cannot be decoded ({error}).", kind=ErrorKind.INVALID_SEGMENT
        ) from error


def encode(plan: ArrayPlan, values: NDArray[Any]) -> bytes:
    """Encode one chunk with the codecs of a plan."""
    document = to_bytes(array_document(_one_chunk(plan, values.shape)))
    array, items = _open({"zarr.json": document})
    array[...] = values
    return items[chunk_key((0,) * values.ndim)].to_bytes()


def _one_chunk(plan: ArrayPlan, shape: tuple[int, ...]) -> ArrayPlan:
    nothing = np.zeros((1,) * len(shape), np.uint64)
    return replace(
        plan,
        shape=shape,
        chunk_shape=shape,
        offsets=nothing,
        lengths=nothing,
        inline={},
        partial=(),
        attributes={},
    )


def _open(items: Mapping[str, bytes]) -> tuple[zarr.Array[Any], dict[str, Any]]:
    buffers: dict[str, Any] = {key: Buffer.from_bytes(data) for key, data in items.items()}
    with warnings.catch_warnings():
        # zarr warns that numcodecs.* names are not in the specification; they are in the table
        # of supported readers instead.
        warnings.simplefilter("ignore")
        array = zarr.open_array(
            MemoryStore(buffers), mode="r+", zarr_format=3, config={"write_empty_chunks": True}
        )
    return array, buffers
