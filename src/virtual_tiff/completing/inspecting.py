"""Inspect segments that a directory does not describe: bit order, and sizes."""

from __future__ import annotations

import asyncio
import lzma
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import imagecodecs
import numpy as np

from virtual_tiff.completing.bounded import MAX_OVERHEAD, first_bytes
from virtual_tiff.completing.chunks import inside_image
from virtual_tiff.completing.fax import check_fax, is_fax
from virtual_tiff.completing.fetching import fetch_all, present
from virtual_tiff.completing.streams import check_kind, check_streams, chosen
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, UnsupportedTIFFError
from virtual_tiff.planning.axes import axis_of
from virtual_tiff.planning.plan import ArrayPlan, ChunkIndex, Codec, Inspection
from virtual_tiff.storage.byte_source import ByteSource

#: Bytes of segments that are fetched in one request to inspect all of them.
_ALL_BYTES = 256 * 1024
#: Bytes of memory for each byte of a segment that is stored: the segment, and what becomes of it.
_COPIES = 2


def _inflate(data: bytes, out: int | None = None) -> bytes:
    """Decode zlib data up to `out` bytes; without it the stream has to be complete."""
    stream = zlib.decompressobj()
    decoded = stream.decompress(data, out or 0)
    if out is None and not stream.eof:
        raise zlib.error("incomplete stream")
    return decoded


def _decompress(name: str) -> Callable[..., bytes]:
    """Return a decoder of up to `out` bytes, or of a complete stream."""
    # The format of TIFFs: surplus bytes may look like the beginning of another stream.
    whole: Callable[[bytes], Any] = partial(lzma.decompress, format=lzma.FORMAT_XZ)
    if name == "zstd":
        whole = imagecodecs.zstd_decode

    def decode(data: bytes, out: int | None = None) -> bytes:
        return bytes(whole(data)) if out is None else first_bytes(name, data, out)

    return decode


_ERRORS = (
    imagecodecs.LzwError,
    imagecodecs.PackbitsError,
    imagecodecs.ZstdError,
    lzma.LZMAError,
    zlib.error,
)
_DECODERS: dict[str, Callable[..., Any]] = {
    "numcodecs.zlib": _inflate,
    "imagecodecs_lzw": imagecodecs.lzw_decode,
    "imagecodecs_packbits": imagecodecs.packbits_decode,
    **{name: _decompress(name) for name in ("zstd", "numcodecs.lzma")},
}
_ENCODERS: dict[str, Callable[..., Any]] = {
    "numcodecs.zlib": zlib.compress,
    "imagecodecs_lzw": imagecodecs.lzw_encode,
    "imagecodecs_packbits": imagecodecs.packbits_encode,
    "zstd": imagecodecs.zstd_encode,
    "numcodecs.lzma": lzma.compress,
}

type _Segments = Mapping[ChunkIndex, bytes]


async def inspect(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    """Inspect segments as `plan.inspection` says, and plan what was found.

    Raises
    ------
    UnsupportedTIFFError
        No codec reads the segments, and they are too large to be stored.
    InvalidTIFFError
        With kind `invalid-segment`: a segment ends before the last row of the image.
    """
    match plan.inspection:
        case Inspection.REVERSED_BITS:
            plan = await _reverse_bits(plan, source)
        case Inspection.SIZES:
            plan = await _check_sizes(plan, source)
        case Inspection.STREAMS:
            plan = await check_streams(plan, source)
        case Inspection.KINDS:
            plan = await check_kind(plan, source)
    return replace(plan, inspection=None)


async def _read_all(
    plan: ArrayPlan, source: ByteSource, kind: ErrorKind, why: str
) -> dict[ChunkIndex, bytes]:
    total = int(plan.lengths.sum())
    most = source.budget.left // _COPIES
    if total > most:
        raise UnsupportedTIFFError(
            f"{why}, and its {total} bytes are more than the {most} that header_limit leaves.",
            kind=kind,
            remedy='Pass a larger header_limit, or on_unsupported="copy".',
        )
    source.budget.keep(_COPIES * total)
    return await fetch_all(plan, source, present(plan))


async def _reverse_bits(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    why = "no Zarr codec reverses the bits of compressed or packed bytes (FillOrder 2)"
    segments = await _read_all(plan, source, ErrorKind.UNSUPPORTED_FILL_ORDER, why)
    inline = {i: bytes(imagecodecs.bitorder_encode(segments.pop(i))) for i in tuple(segments)}
    if is_fax(plan):
        short = {segment.index for segment in plan.partial}
        whole = [index for index in inline if index not in short]
        streams = {index: inline[index] for index in chosen(plan, source, whole)} if whole else {}
        await asyncio.to_thread(check_fax, plan, streams)
    return replace(plan, inline={**plan.inline, **inline}, lengths=np.zeros_like(plan.lengths))


# -- sizes ---------------------------------------------------------------------------------


async def _check_sizes(plan: ArrayPlan, source: ByteSource) -> ArrayPlan:
    """Cut segments that decode to more than a chunk, and pad those that decode to less.

    Small images are inspected whole; of others a few segments, and all if one of those differs.
    """
    short = {segment.index for segment in plan.partial}
    indices = [index for index in present(plan) if index not in short]
    if not indices:
        return plan
    segments = await _sample(plan, source, indices)
    found = await asyncio.to_thread(_differing, plan, segments)
    if found and len(segments) < len(indices):
        why = "segments do not decode to the size of a chunk"
        segments = await _read_all(plan, source, ErrorKind.UNSUPPORTED_LAYOUT, why)
        segments = {index: segments[index] for index in indices}
        found = await asyncio.to_thread(_differing, plan, segments)
    if not found:
        return plan
    whole = segment_bytes(plan)
    # Twice the bytes would be unpacked to twice the samples.
    is_surplus = all(whole < len(data) < 2 * whole for data in found.values())
    if is_surplus and (codecs := _cutting(plan)):
        return replace(plan, codecs=codecs)
    lengths = plan.lengths.copy()
    inline = dict(plan.inline)
    for index, data in found.items():
        inline[index] = resized(plan, data, whole)
        lengths[index] = 0
    return replace(plan, inline=inline, lengths=lengths)


async def _sample(plan: ArrayPlan, source: ByteSource, indices: list[ChunkIndex]) -> _Segments:
    starts = {index: int(plan.offsets[index]) for index in indices}
    first = min(starts.values())
    last = max(start + int(plan.lengths[index]) for index, start in starts.items())
    if last - first > _ALL_BYTES:
        # Where writers end early they do it in the last.
        chosen = dict.fromkeys((indices[0], indices[-1]))
        most = source.budget.left // _COPIES
        return await fetch_all(plan, source, [i for i in chosen if plan.lengths[i] <= most])
    data = await source.read_uncached(first, last - first)
    return {
        index: data[start - first : start - first + int(plan.lengths[index])]
        for index, start in starts.items()
    }


def _differing(plan: ArrayPlan, segments: _Segments) -> dict[ChunkIndex, bytes]:
    """Return the decoded bytes of segments that do not decode to the size of a chunk."""
    whole = segment_bytes(plan)
    sizes = {axis_of(n): c for n, c in zip(plan.dimension_names, plan.chunk_shape, strict=True)}
    found = {}
    for index, data in segments.items():
        try:
            decoded, is_exact = sized_bytes(plan, data, whole)
        except InvalidTIFFError as error:
            raise _cut_short(plan, index, error) from error.__cause__
        if is_exact:
            continue
        rows, columns = inside_image(plan, index)
        if len(decoded) < whole // sizes["y"] * rows:
            if len(decoded) * sizes["y"] * sizes["x"] == whole * rows * columns:
                raise UnsupportedTIFFError(
                    f"the segment of chunk {index} ends with the image, with shorter rows.",
                    kind=ErrorKind.UNSUPPORTED_LAYOUT,
                )
            short = InvalidTIFFError(
                f"the segment of chunk {index} decodes to {len(decoded)} of {whole} bytes.",
                kind=ErrorKind.INVALID_SEGMENT,
            )
            raise _cut_short(plan, index, short)
        found[index] = decoded
    return found


def _cut_short(plan: ArrayPlan, index: ChunkIndex, error: InvalidTIFFError) -> InvalidTIFFError:
    """Return the error of a segment, or that of a file that was cut short if it ends with it."""
    end = int(plan.offsets[index]) + int(plan.lengths[index])
    if plan.source is None or end < plan.source.size:
        return error
    return InvalidTIFFError(
        f"{error.message} The file ends there.",
        kind=ErrorKind.TRUNCATED,
        remedy="The file was cut short: copy or download it again.",
    )


#: Bytes that one byte can become: a code of LZW is up to 4,096 bytes.
_MOST_EXPANSION = dict.fromkeys(_ENCODERS.keys() - {"zstd", "numcodecs.lzma"}, 4096)


def sized_bytes(plan: ArrayPlan, data: bytes, whole: int) -> tuple[bytes, bool]:
    """Decompress a segment, and return whether it decodes to `whole` bytes without an error.

    A stream that is damaged after `whole` bytes is cut there, as libtiff does.
    """
    name = str(plan.codecs[-1]["name"])
    decode = _DECODERS[name]
    # Decoders allocate their limit, so a short segment of a huge chunk has a low one.
    limit = min(2 * whole, _MOST_EXPANSION.get(name, 2 * whole) * len(data)) + MAX_OVERHEAD
    try:
        if len(decode(data, out=limit)) >= limit:
            raise InvalidTIFFError(
                f"a segment decodes to more than {limit} bytes.", kind=ErrorKind.INVALID_SEGMENT
            )
        decoded = bytes(decode(data))
    except _ERRORS:
        pass
    else:
        return decoded, len(decoded) == whole
    try:
        return bytes(decode(data, out=min(whole, limit))), False
    except _ERRORS as error:
        raise InvalidTIFFError(
            f"a segment cannot be decoded ({error}).", kind=ErrorKind.INVALID_SEGMENT
        ) from error


def resized(plan: ArrayPlan, decoded: bytes, size: int) -> bytes:
    """Compress bytes that are cut, or padded with zeros, to a size."""
    encode = _ENCODERS[str(plan.codecs[-1]["name"])]
    return bytes(encode(decoded[:size].ljust(size, b"\0")))


def has_sizes(plan: ArrayPlan) -> bool:
    """Return whether segments can be resized without decoding samples."""
    before = plan.codecs[-2]["name"] if len(plan.codecs) > 1 else None
    return str(plan.codecs[-1]["name"]) in _DECODERS and before != "imagecodecs_lerc"


def segment_bytes(plan: ArrayPlan) -> int:
    """Return the bytes that a segment has to decompress to."""
    elements = math.prod(plan.chunk_shape)
    serializer = plan.codecs[-2]
    configuration = serializer.get("configuration")
    if serializer["name"] == "imagecodecs_float24":
        return elements * 3
    if serializer["name"] == "imagecodecs_packints" and isinstance(configuration, dict):
        bits, run = (int(str(configuration[key])) for key in ("bitspersample", "runlen"))
        return elements // run * -(-run * bits // 8)
    return elements * plan.data_type.itemsize


def _cutting(plan: ArrayPlan) -> tuple[Codec, ...] | None:
    """Return codecs that ignore surplus bytes: unpacking samples of 8 bits stops at the last."""
    *before, serializer, compression = plan.codecs
    if serializer["name"] != "bytes" or plan.data_type.itemsize != 1:
        return None
    configuration = {"bitspersample": 8, "runlen": math.prod(plan.chunk_shape)}
    return (
        *before,
        {"name": "imagecodecs_packints", "configuration": {**configuration}},
        compression,
    )
